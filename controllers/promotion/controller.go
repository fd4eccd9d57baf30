// Package promotion carries Promotions out: it writes a Release into an
// Environment's overlay by commit or pull request, watches the workloads that
// it changes, and takes a Release that fails back.
package promotion

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/access"
	"github.com/serin-gitops/serin/controllers/hints"
	"github.com/serin-gitops/serin/controllers/internal/convert"
	"github.com/serin-gitops/serin/controllers/internal/turn"
	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/environments/promotion"
	"github.com/serin-gitops/serin/forge"
	"github.com/serin-gitops/serin/overlays"
)

// Hosts makes the port to the pull requests of a repository, by source.Forge.
type Hosts interface {
	Host(ctx context.Context, source v1alpha1.Source, repository overlays.Repository, remote overlays.Remote) (forge.Host, error)
}

// Signers makes a signer of commits out of an armoured private key.
type Signers interface {
	Signer(key, passphrase []byte) (overlays.Signer, error)
}

// Syncer is whatever applies Git to the cluster within Serin. Wake asks it to
// look at a branch now; it never blocks.
type Syncer interface {
	Wake(url, branch string)
}

// Reconciler reconciles Promotions. Every exported field is needed.
type Reconciler struct {
	// Client reads from the caches; Uncached asks the API server.
	Client   client.Client
	Uncached client.Reader
	Git      *access.Git
	Hosts    Hosts
	Signers  Signers
	Syncer   Syncer
	Hints    *hints.Hub
	Recorder events.EventRecorder
	// Now is the clock.
	Now func() time.Time
}

// whileRunning is how soon workloads whose pods are looked at are looked at again.
const whileRunning = 2 * time.Second

// scope is one reconcile: what was read from the API.
type scope struct {
	promotion *v1alpha1.Promotion
	pipeline  *v1alpha1.Pipeline
	release   *v1alpha1.Release
	// overlay is the Environment as the Pipeline has it.
	overlay      v1alpha1.Environment
	environment  environments.Environment
	environments []environments.Environment
	releases     []environments.Release
	// releasesRaw are the same with where their images came from.
	releasesRaw []v1alpha1.Release
	rivals      []environments.Promotion
	record      environments.Promotion
	// tip of the branch, where it could be read.
	tip *overlays.Tip
	// workloads that the Release changes here, as the overlay renders.
	workloads []v1alpha1.PromotedWorkload
	now       time.Time
}

// Reconcile observes, decides, acts and reports.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	return turn.Take(ctx, req, r.reconcile)
}

func (r *Reconciler) reconcile(ctx context.Context, name types.NamespacedName) (ctrl.Result, error) {
	s, err := r.gather(ctx, name)
	if err != nil || s == nil {
		return ctrl.Result{}, err
	}
	snapshot, trouble := r.observe(ctx, s)
	plan := promotion.DecidePromotion(snapshot, s.now)
	if plan.Action != promotion.Nothing {
		fresh, err := r.isFresh(ctx, s.promotion)
		if err != nil || !fresh {
			return ctrl.Result{RequeueAfter: turn.Soon}, err
		}
		if failed := r.act(ctx, s, snapshot, &plan); failed != nil {
			if apierrors.IsConflict(failed.Err) {
				// Somebody else wrote the same object: no news for people.
				return ctrl.Result{}, failed.Err
			}
			trouble = failed
		}
	}
	return r.report(ctx, s, plan, trouble)
}

// gather reads the Promotion and what belongs to it; nil where there is nothing
// to do.
func (r *Reconciler) gather(ctx context.Context, name types.NamespacedName) (*scope, error) {
	s := &scope{promotion: &v1alpha1.Promotion{}, pipeline: &v1alpha1.Pipeline{}, release: &v1alpha1.Release{}, now: r.Now().UTC()}
	if found, err := turn.Read(ctx, r.Client, name, s.promotion); err != nil || !found {
		return nil, err
	}
	if !s.promotion.DeletionTimestamp.IsZero() {
		return nil, nil
	}
	s.record = convert.Promotion(*s.promotion)
	if s.record.Phase.Ended() && s.record.Phase != environments.Rejected && !s.isAsked() {
		return nil, nil
	}
	spec := s.promotion.Spec
	for _, needed := range []struct {
		name string
		into client.Object
	}{{spec.Pipeline, s.pipeline}, {spec.Release, s.release}} {
		found, err := turn.Read(ctx, r.Client, types.NamespacedName{Namespace: name.Namespace, Name: needed.name}, needed.into)
		if err != nil {
			return nil, fmt.Errorf("promotion %s: %w", name, err)
		}
		if !found {
			// It is being deleted, and takes its Promotions with it.
			return nil, nil
		}
	}
	return s, r.gatherLists(ctx, s)
}

// gatherLists reads the Releases and Promotions beside this one.
func (r *Reconciler) gatherLists(ctx context.Context, s *scope) error {
	releases, promotions, err := turn.Beside(ctx, r.Client, client.ObjectKeyFromObject(s.pipeline))
	if err != nil {
		return err
	}
	s.rivals, s.releases, s.releasesRaw = convert.Promotions(promotions), convert.Releases(releases), releases
	s.environments = convert.Environments(s.pipeline.Spec)
	at := slices.IndexFunc(s.environments, func(e environments.Environment) bool { return e.Name == s.record.Environment })
	if at >= 0 {
		s.environment, s.overlay = s.environments[at], s.pipeline.Spec.Environments[at]
	}
	s.workloads = s.promotion.Status.Workloads
	return nil
}

// isFresh says whether the Promotion was read as it is now. A cache may lag
// behind what this controller wrote last, and nothing is to be done twice.
func (r *Reconciler) isFresh(ctx context.Context, read *v1alpha1.Promotion) (bool, error) {
	var current v1alpha1.Promotion
	if err := r.Uncached.Get(ctx, client.ObjectKeyFromObject(read), &current); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	return current.ResourceVersion == read.ResourceVersion, nil
}

// patience is the longest time between two looks that counts as watched: looks
// come at each interval, and one may fail.
func (s *scope) patience() time.Duration { return 2*s.interval() + 2*time.Minute }

// interval between two looks where nothing wakes the controller.
func (s *scope) interval() time.Duration { return turn.Interval(s.pipeline) }
