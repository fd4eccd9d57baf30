package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PipelineSpec says what to promote and where.
//
// +kubebuilder:validation:XValidation:rule="self.environments.all(e, !has(e.after) || e.after.all(a, a != e.name && a in self.environments.map(o, o.name)))",message="after names an environment that is not in this Pipeline, or itself"
type PipelineSpec struct {
	// source is the deploy repository.
	Source Source `json:"source"`
	// images to watch. A new choice of any of them makes a Release of all.
	// +listType=map
	// +listMapKey=repository
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Images []ImageSource `json:"images"`
	// environments that a Release goes through.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Environments []Environment `json:"environments"`
	// interval between two looks at the registry and at the deploy repository
	// where no webhook tells of a change.
	// +kubebuilder:default="1m"
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,3})?h)?([0-9]{1,6}(\.[0-9]{1,3})?m)?([0-9]{1,8}(\.[0-9]{1,3})?s)?([0-9]{1,9}ms)?)$`
	Interval metav1.Duration `json:"interval,omitzero"`
	// suspend, where true, starts nothing new; what is under way goes on.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
	// releaseHistoryLimit is how many Releases that run nowhere are kept.
	// Quarantined ones are always kept.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +kubebuilder:default=10
	// +optional
	ReleaseHistoryLimit int32 `json:"releaseHistoryLimit,omitempty"`
}

// Source is a deploy repository.
type Source struct {
	// url of the repository: http, https or ssh.
	// +kubebuilder:validation:Pattern=`^(https?|ssh)://[^\s]+$`
	// +kubebuilder:validation:MaxLength=1024
	URL string `json:"url"`
	// branch that the environments' overlays are read from and written to.
	// +kubebuilder:default=main
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +optional
	Branch string `json:"branch,omitempty"`
	// secretRef names a Secret with username and password (or token), or
	// identity and known_hosts for SSH; ca.crt is trusted in addition.
	// +optional
	SecretRef *LocalReference `json:"secretRef,omitempty"`
	// forge says where approvals are given: Branch for servers without pull
	// requests (merging the branch approves, deleting it rejects).
	// +kubebuilder:validation:Enum=Branch;Gitea
	// +kubebuilder:default=Branch
	// +optional
	Forge string `json:"forge,omitempty"`
	// author of the commits.
	// +optional
	Author *CommitAuthor `json:"author,omitempty"`
	// signingKeySecretRef names a Secret with git.asc, an armoured private GPG
	// key or an SSH private key (and passphrase, where it has one); commits are
	// signed with it.
	// +optional
	SigningKeySecretRef *LocalReference `json:"signingKeySecretRef,omitempty"`
}

// CommitAuthor is who commits are from.
type CommitAuthor struct {
	// name of the author.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Name string `json:"name"`
	// email of the author.
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=256
	Email string `json:"email"`
}

// ImageSource is an image to watch and how to choose among its tags.
type ImageSource struct {
	// repository is the image's name without tag and digest.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Repository string `json:"repository"`
	// policy chooses the tag.
	Policy ImagePolicy `json:"policy"`
	// platform, such as linux/amd64, that the image must be there for.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?$`
	// +optional
	Platform string `json:"platform,omitempty"`
	// secretRef names a Secret of type kubernetes.io/dockerconfigjson, or with
	// username and password; ca.crt is trusted in addition.
	// +optional
	SecretRef *LocalReference `json:"secretRef,omitempty"`
	// insecure asks the registry over plain http.
	// +optional
	Insecure bool `json:"insecure,omitempty"`
	// endpoint, where set, is the host and port that the registry is asked at
	// in place of the one in repository, which stays what is written to Git.
	// +kubebuilder:validation:MaxLength=255
	// +optional
	Endpoint string `json:"endpoint,omitempty"`
}

// ImagePolicy chooses one of an image's tags.
//
// +kubebuilder:validation:XValidation:rule="self.type != 'Semver' || has(self.range)",message="a Semver policy needs range, such as \">=1.0.0\""
// +kubebuilder:validation:XValidation:rule="self.type != 'Digest' || has(self.tag)",message="a Digest policy needs tag, the tag to follow"
type ImagePolicy struct {
	// type of the policy: Semver takes the highest version in range; Numerical
	// and Alphabetical the last in that order; NewestBuild the one built last;
	// Digest follows the digest of one mutable tag.
	// +kubebuilder:validation:Enum=Semver;Numerical;Alphabetical;NewestBuild;Digest
	Type string `json:"type"`
	// range of versions, with Semver, such as ">=1.0.0 <2.0.0".
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Range string `json:"range,omitempty"`
	// tag to follow, with Digest.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Tag string `json:"tag,omitempty"`
	// descending takes the first in order and not the last, with Numerical and
	// Alphabetical.
	// +optional
	Descending bool `json:"descending,omitempty"`
	// include keeps the tags that match this regular expression (RE2).
	// +kubebuilder:validation:MaxLength=512
	// +optional
	Include string `json:"include,omitempty"`
	// exclude drops the tags that match this regular expression (RE2).
	// +kubebuilder:validation:MaxLength=512
	// +optional
	Exclude string `json:"exclude,omitempty"`
	// extract is what of a tag that matches include is ordered by, such as
	// "$ts" for a named group.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Extract string `json:"extract,omitempty"`
}

// Environment is one overlay and how a Release enters it.
type Environment struct {
	// name of the environment.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// path of the overlay's directory in the repository.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.split('/').exists(p, p == '..')",message="path is relative to the repository and may not leave it"
	Path string `json:"path"`
	// namespace of the overlay's workloads where the rendered objects name none.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// promotion says how a Release enters: Commit writes to the branch,
	// PullRequest asks for approval.
	// +kubebuilder:validation:Enum=Commit;PullRequest
	// +kubebuilder:default=PullRequest
	// +optional
	Promotion string `json:"promotion,omitempty"`
	// after names the environments that a Release must have succeeded in. Where
	// it is left out, the environment before this one in the list; an empty
	// list means none.
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=63
	// +listType=set
	// +optional
	After *[]string `json:"after,omitempty"`
	// gates that must be open before a Release enters.
	// +optional
	Gates Gates `json:"gates,omitzero"`
	// rollback says what is done in Git when a Release fails here: Commit
	// restores the images at once, PullRequest asks for it, None leaves Git.
	// +kubebuilder:validation:Enum=Commit;PullRequest;None
	// +kubebuilder:default=Commit
	// +optional
	Rollback string `json:"rollback,omitempty"`
	// deadline for a Release to run here, counted from its commit on the
	// branch. A Rollout that is paused or frozen stops the clock.
	// +kubebuilder:default="30m"
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,3})?h)?([0-9]{1,6}(\.[0-9]{1,3})?m)?([0-9]{1,8}(\.[0-9]{1,3})?s)?([0-9]{1,9}ms)?)$`
	Deadline metav1.Duration `json:"deadline,omitzero"`
	// syncRef names the Flux Kustomization that applies this overlay, which is
	// asked to reconcile at once and whose failures are reported.
	// +optional
	SyncRef *SyncReference `json:"syncRef,omitempty"`
}

// SyncReference names a Flux Kustomization.
type SyncReference struct {
	// name of the Kustomization.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// namespace of the Kustomization; the Pipeline's where left out.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Namespace string `json:"namespace,omitempty"`
}

// Gates hold a Release back.
type Gates struct {
	// soak is how long the Release must have run well in every environment
	// before.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,3})?h)?([0-9]{1,6}(\.[0-9]{1,3})?m)?([0-9]{1,8}(\.[0-9]{1,3})?s)?([0-9]{1,9}ms)?)$`
	Soak *metav1.Duration `json:"soak,omitempty"`
	// approval, where true, wants a person's "serin approve" before a commit;
	// a pull request's merge is approval by itself.
	// +optional
	Approval bool `json:"approval,omitempty"`
	// freeze windows in which nothing enters.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	Freeze []FreezeWindow `json:"freeze,omitempty"`
}

// FreezeWindow is a time, again and again, in which nothing is promoted.
type FreezeWindow struct {
	// start as a cron expression of five fields, such as "0 16 * * FRI".
	// +kubebuilder:validation:MinLength=9
	// +kubebuilder:validation:MaxLength=128
	Start string `json:"start"`
	// duration from each start.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,3})?h)?([0-9]{1,6}(\.[0-9]{1,3})?m)?([0-9]{1,8}(\.[0-9]{1,3})?s)?([0-9]{1,9}ms)?)$`
	Duration metav1.Duration `json:"duration"`
	// timeZone as in the IANA data base.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:default=UTC
	// +optional
	TimeZone string `json:"timeZone,omitempty"`
	// reason that people read while it is frozen.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Reason string `json:"reason,omitempty"`
}

// PipelineStatus is what Serin sees.
type PipelineStatus struct {
	// observedGeneration is the generation that conditions speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions: Ready, Reconciling, Stalled.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// images chosen last.
	// +listType=map
	// +listMapKey=repository
	// +optional
	Images []ImageStatus `json:"images,omitempty"`
	// latestRelease is the newest Release.
	// +optional
	LatestRelease string `json:"latestRelease,omitempty"`
	// environments, each with what runs there and what is on its way.
	// +listType=map
	// +listMapKey=name
	// +optional
	Environments []EnvironmentStatus `json:"environments,omitempty"`
	// handledRequest is the last request annotation that was carried out.
	// +optional
	HandledRequest string `json:"handledRequest,omitempty"`
}

// ImageStatus is the choice for one image.
type ImageStatus struct {
	ImageReference `json:",inline"`
	// reason why this one was chosen, or why none could be.
	// +optional
	Reason string `json:"reason,omitempty"`
	// checked is when the registry was last asked with success; written only
	// when something else changes too.
	// +optional
	Checked *metav1.Time `json:"checked,omitempty"`
}

// EnvironmentStatus is one environment as Serin sees it.
type EnvironmentStatus struct {
	// name of the environment.
	Name string `json:"name"`
	// release that Git has here, where Serin knows it.
	// +optional
	Release string `json:"release,omitempty"`
	// promotion that is under way, or ended last.
	// +optional
	Promotion string `json:"promotion,omitempty"`
	// phase of that promotion.
	// +optional
	Phase PromotionPhase `json:"phase,omitempty"`
	// held says why nothing is promoted here: a person changed the image.
	// +optional
	Held string `json:"held,omitempty"`
	// heldRelease is the newest Release there was when it was held; a newer
	// one ends the hold.
	// +optional
	HeldRelease string `json:"heldRelease,omitempty"`
	// accepted is a hash of the images for which a person ended the hold.
	// +optional
	Accepted string `json:"accepted,omitempty"`
	// waiting says what the newest Release waits for.
	// +optional
	Waiting string `json:"waiting,omitempty"`
	// images that Git has here.
	// +listType=map
	// +listMapKey=repository
	// +optional
	Images []ImageReference `json:"images,omitempty"`
}

// Pipeline says what to promote, from where, and through which environments.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=pl,categories=serin
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Latest",type=string,JSONPath=`.status.latestRelease`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 52",message="the name of a Pipeline has at most 52 characters, so that its Releases' names are valid labels"
type Pipeline struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says what to promote and where.
	Spec PipelineSpec `json:"spec"`
	// status is what Serin sees.
	// +optional
	Status PipelineStatus `json:"status,omitzero"`
}

// PipelineList is a list of Pipelines.
//
// +kubebuilder:object:root=true
type PipelineList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Pipeline `json:"items"`
}
