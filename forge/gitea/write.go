package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	sdk "code.gitea.io/sdk/gitea"
	"github.com/serin-gitops/serin/forge"
)

// Create opens a pull request. Gitea learns of a pushed branch, and that a
// repository is not empty any more, a moment later; until then it is asked
// again, for at most settle.
func (h *Host) Create(ctx context.Context, draft forge.Draft) (forge.PullRequest, error) {
	var made forge.PullRequest
	err := poll(ctx, func() (final bool, err error) {
		made, final, err = h.createOnce(ctx, draft)
		return final, err
	})
	return made, err
}

// createOnce opens a pull request, or updates the open one; an error that is
// not final may pass.
func (h *Host) createOnce(ctx context.Context, draft forge.Draft) (_ forge.PullRequest, final bool, _ error) {
	open, err := h.search(ctx, sdk.StateOpen, draft.Source, draft.Target)
	if err != nil {
		return open, !errors.Is(err, forge.ErrNotFound), err
	}
	if open.ID != "" {
		open, err = h.Update(ctx, open.ID, draft)
		return open, true, err
	}
	client, err := h.api(ctx)
	if err != nil {
		return open, true, err
	}
	labels, err := h.labels(client, draft.Labels)
	if err != nil {
		return open, true, err
	}
	pr, answer, err := client.CreatePullRequest(h.options.Owner, h.options.Repository, sdk.CreatePullRequestOption{
		Head: draft.Source, Base: draft.Target, Title: draft.Title, Body: draft.Body, Labels: labels,
	})
	if err == nil {
		return describe(pr), true, nil
	}
	what := fmt.Sprintf("open a pull request from %s to %s", draft.Source, draft.Target)
	if answer == nil || answer.Response == nil {
		return open, true, h.failed(what, answer, err)
	}
	switch answer.StatusCode {
	case http.StatusNotFound, http.StatusUnprocessableEntity:
		return open, false, fmt.Errorf("%s: %s: is one of the branches missing? %w", h, what, err)
	case http.StatusConflict:
		// Somebody else opened it in between: the next look finds it.
		return open, false, h.failed(what, answer, err)
	default:
		return open, true, h.failed(what, answer, err)
	}
}

// Update sets title, body and, where there are any, labels.
func (h *Host) Update(ctx context.Context, id string, draft forge.Draft) (forge.PullRequest, error) {
	pr, err := h.get(ctx, id)
	if err != nil {
		return forge.PullRequest{}, err
	}
	if pr.State != sdk.StateOpen {
		return describe(pr), fmt.Errorf("%s: pull request %s is not open any more: %w", h, id, forge.ErrNotFound)
	}
	client, err := h.api(ctx)
	if err != nil {
		return forge.PullRequest{}, err
	}
	if len(draft.Labels) > 0 {
		labels, err := h.labels(client, draft.Labels)
		if err != nil {
			return forge.PullRequest{}, err
		}
		if _, answer, err := client.ReplaceIssueLabels(h.options.Owner, h.options.Repository, pr.Index, sdk.IssueLabelsOption{Labels: labels}); err != nil {
			return forge.PullRequest{}, h.failed("label pull request "+id, answer, err)
		}
	}
	if pr.Title != draft.Title || pr.Body != draft.Body {
		_, answer, err := client.EditPullRequest(h.options.Owner, h.options.Repository, pr.Index, sdk.EditPullRequestOption{
			Title: draft.Title, Body: &draft.Body,
		})
		if err != nil {
			return forge.PullRequest{}, h.failed("edit pull request "+id, answer, err)
		}
	}
	return h.Get(ctx, id)
}

// Close comments and closes; one that is closed or merged is left as it is.
func (h *Host) Close(ctx context.Context, id, comment string) error {
	pr, err := h.get(ctx, id)
	if err != nil {
		return err
	}
	if pr.State != sdk.StateOpen {
		return nil
	}
	client, err := h.api(ctx)
	if err != nil {
		return err
	}
	if comment != "" {
		if _, answer, err := client.CreateIssueComment(h.options.Owner, h.options.Repository, pr.Index, sdk.CreateIssueCommentOption{Body: comment}); err != nil {
			return h.failed("comment on pull request "+id, answer, err)
		}
	}
	closed := sdk.StateClosed
	if _, answer, err := client.EditPullRequest(h.options.Owner, h.options.Repository, pr.Index, sdk.EditPullRequestOption{State: &closed}); err != nil {
		return h.failed("close pull request "+id, answer, err)
	}
	return nil
}

// Merge merges at head. After a push Gitea checks for conflicts on the side and
// refuses meanwhile, so it is asked again, for at most settle.
func (h *Host) Merge(ctx context.Context, id, head string) (forge.PullRequest, error) {
	client, err := h.api(ctx)
	if err != nil {
		return forge.PullRequest{}, err
	}
	var last forge.PullRequest
	err = poll(ctx, func() (bool, error) {
		pr, err := h.get(ctx, id)
		if err != nil {
			return true, err
		}
		if last = describe(pr); last.State == forge.Merged {
			return true, nil
		}
		if last.State != forge.Open || last.Head != head {
			return true, fmt.Errorf("%s: pull request %s is %s at %s, wanted open at %s: %w", h, id, last.State, last.Head, head, forge.ErrNotMergeable)
		}
		merged, answer, err := client.MergePullRequest(h.options.Owner, h.options.Repository, pr.Index, sdk.MergePullRequestOption{
			Style: sdk.MergeStyle(h.options.Style), HeadCommitId: head,
		})
		if err == nil && merged {
			// The next look gives the commit that it was merged as.
			return false, fmt.Errorf("%s: pull request %s: merged, and not seen as merged", h, id)
		}
		return h.refused(id, pr.Mergeable, answer, err)
	})
	return last, err
}

// refused says what an answer to a merge means, and whether it is final.
func (h *Host) refused(id string, mergeable bool, answer *sdk.Response, err error) (final bool, _ error) {
	if err != nil {
		return true, h.failed("merge pull request "+id, answer, err)
	}
	switch answer.StatusCode {
	case http.StatusMethodNotAllowed:
		why := "it conflicts with its target, or is still being checked"
		if mergeable {
			why = "checks or approvals that the branch protection asks for are not there"
		}
		return false, fmt.Errorf("%s: pull request %s: %s: %w", h, id, why, forge.ErrNotMergeable)
	case http.StatusConflict:
		return true, fmt.Errorf("%s: pull request %s: its head has moved, or it conflicts with its target: %w", h, id, forge.ErrNotMergeable)
	default:
		return true, h.failed("merge pull request "+id, answer, errors.New(answer.Status))
	}
}

// labels turns names into Gitea's numbers, and makes the labels that are
// missing.
func (h *Host) labels(client *sdk.Client, names []string) ([]int64, error) {
	if len(names) == 0 {
		return nil, nil
	}
	there, answer, err := client.ListRepoLabels(h.options.Owner, h.options.Repository, sdk.ListLabelsOptions{
		ListOptions: sdk.ListOptions{PageSize: pageSize},
	})
	if err != nil {
		return nil, h.failed("list labels", answer, err)
	}
	var ids []int64
	for _, name := range names {
		at := slices.IndexFunc(there, func(l *sdk.Label) bool { return l.Name == name })
		if at >= 0 {
			ids = append(ids, there[at].ID)
			continue
		}
		label, answer, err := client.CreateLabel(h.options.Owner, h.options.Repository, sdk.CreateLabelOption{Name: name, Color: labelColour})
		if err != nil {
			return nil, h.failed("create label "+name, answer, err)
		}
		ids = append(ids, label.ID)
	}
	return ids, nil
}

// poll calls try every settleStep until it is done or settle has passed, and
// returns its last error.
func poll(ctx context.Context, try func() (done bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	tick := time.NewTicker(settleStep)
	defer tick.Stop()
	for {
		done, err := try()
		if done {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		}
	}
}
