package webhooks

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/serin-gitops/serin/environments"
)

// event is a push in the format of the distribution project, which Azure sends
// bare and others in an envelope.
type event struct {
	Action string `json:"action"`
	Target struct {
		Repository string `json:"repository"`
		Tag        string `json:"tag"`
		Digest     string `json:"digest"`
		URL        string `json:"url"`
	} `json:"target"`
	Request struct {
		Host string `json:"host"`
	} `json:"request"`
}

func (e event) hint() Hint {
	// Layers are told of as well, without a tag.
	if e.Action != "push" || e.Target.Tag == "" || e.Target.Repository == "" {
		return Hint{}
	}
	host := e.Request.Host
	if host == "" {
		host = hostOf(e.Target.URL)
	}
	return Hint{Kind: Image, Repository: join(host, e.Target.Repository), Tag: e.Target.Tag, Digest: e.Target.Digest}
}

// parseDistribution reads the envelope of the distribution project, which
// GitLab's registry, and Serin's own, send as well.
// https://distribution.github.io/distribution/about/notifications/
func parseDistribution(_ http.Header, body []byte) ([]Hint, error) {
	var envelope struct {
		Events []event `json:"events"`
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		return nil, err
	}
	var hints []Hint
	for _, e := range envelope.Events {
		if h := e.hint(); h.Kind != "" {
			hints = append(hints, h)
		}
	}
	return hints, nil
}

// parseACR reads Azure Container Registry's events.
// https://learn.microsoft.com/azure/container-registry/container-registry-webhook-reference
func parseACR(_ http.Header, body []byte) ([]Hint, error) {
	var e event
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, err
	}
	if h := e.hint(); h.Kind != "" {
		return []Hint{h}, nil
	}
	return nil, nil
}

// parseDockerHub reads Docker Hub's only event.
// https://docs.docker.com/docker-hub/repos/manage/webhooks/
func parseDockerHub(_ http.Header, body []byte) ([]Hint, error) {
	var push struct {
		PushData struct {
			Tag string `json:"tag"`
		} `json:"push_data"`
		Repository struct {
			RepoName string `json:"repo_name"`
		} `json:"repository"`
	}
	if err := json.Unmarshal(body, &push); err != nil || push.Repository.RepoName == "" {
		return nil, err
	}
	return []Hint{{Kind: Image, Repository: join("docker.io", push.Repository.RepoName), Tag: push.PushData.Tag}}, nil
}

// parseQuay reads Quay's repository push.
// https://docs.quay.io/guides/notifications.html
func parseQuay(_ http.Header, body []byte) ([]Hint, error) {
	var push struct {
		DockerURL   string   `json:"docker_url"`
		UpdatedTags []string `json:"updated_tags"`
	}
	if err := json.Unmarshal(body, &push); err != nil {
		return nil, err
	}
	hints := make([]Hint, 0, len(push.UpdatedTags))
	for _, tag := range push.UpdatedTags {
		hints = append(hints, Hint{Kind: Image, Repository: push.DockerURL, Tag: tag})
	}
	return hints, nil
}

// parseHarbor reads Harbor's two formats, Default and CloudEvents.
// https://goharbor.io/docs/latest/working-with-projects/project-configuration/configure-webhooks/
func parseHarbor(_ http.Header, body []byte) ([]Hint, error) {
	type resources struct {
		Resources []struct {
			Digest      string `json:"digest"`
			Tag         string `json:"tag"`
			ResourceURL string `json:"resource_url"`
		} `json:"resources"`
	}
	var push struct {
		Type      string    `json:"type"`
		EventData resources `json:"event_data"`
		Data      resources `json:"data"`
	}
	if err := json.Unmarshal(body, &push); err != nil {
		return nil, err
	}
	if push.Type != "PUSH_ARTIFACT" && push.Type != "harbor.artifact.pushed" {
		return nil, nil
	}
	var hints []Hint
	for _, r := range append(push.EventData.Resources, push.Data.Resources...) {
		image, err := environments.ParseImage(r.ResourceURL)
		if err != nil {
			return nil, err
		}
		hints = append(hints, Hint{Kind: Image, Repository: image.Repository, Tag: r.Tag, Digest: r.Digest})
	}
	return hints, nil
}

// parseArtifactory reads Artifactory's Docker domain, in the envelope in which
// it is sent or bare as the page shows it.
// https://jfrog.com/help/r/jfrog-platform-administration-documentation/domain-docker
func parseArtifactory(_ http.Header, body []byte) ([]Hint, error) {
	type push struct {
		EventType string `json:"event_type"`
		RepoKey   string `json:"repo_key"`
		ImageName string `json:"image_name"`
		Tag       string `json:"tag"`
		// SHA256 is the manifest's, without the algorithm.
		SHA256 string `json:"sha256"`
		Origin string `json:"jpd_origin"`
		Data   *push  `json:"data"`
	}
	var p push
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, err
	}
	// A promoted image is copied to the repository key named in data.
	if p.EventType != "pushed" && p.EventType != "promoted" {
		return nil, nil
	}
	inner := p
	if p.Data != nil {
		inner = *p.Data
	}
	if inner.ImageName == "" {
		return nil, nil
	}
	hint := Hint{Kind: Image, Repository: join(hostOf(p.Origin), inner.RepoKey, inner.ImageName), Tag: inner.Tag}
	if len(inner.SHA256) == 64 {
		hint.Digest = "sha256:" + inner.SHA256
	}
	return []Hint{hint}, nil
}

// parseECR reads Amazon ECR's events as EventBridge passes them on.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html
func parseECR(_ http.Header, body []byte) ([]Hint, error) {
	var e struct {
		DetailType string `json:"detail-type"`
		Account    string `json:"account"`
		Region     string `json:"region"`
		Detail     struct {
			Result     string `json:"result"`
			ActionType string `json:"action-type"`
			Repository string `json:"repository-name"`
			Tag        string `json:"image-tag"`
			Digest     string `json:"image-digest"`
		} `json:"detail"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, err
	}
	if e.DetailType != "ECR Image Action" || e.Detail.ActionType != "PUSH" || e.Detail.Result != "SUCCESS" {
		return nil, nil
	}
	domain := "amazonaws.com"
	if strings.HasPrefix(e.Region, "cn-") {
		domain += ".cn"
	}
	host := e.Account + ".dkr.ecr." + e.Region + "." + domain
	return []Hint{{Kind: Image, Repository: join(host, e.Detail.Repository), Tag: e.Detail.Tag, Digest: e.Detail.Digest}}, nil
}

// parseGeneric reads Serin's own format, for a line of curl at the end of a
// build: {"image": "host/name[:tag][@digest]", "tag": "...", "digest": "..."},
// of which tag and digest may be left out.
func parseGeneric(_ http.Header, body []byte) ([]Hint, error) {
	var push struct {
		Image  string `json:"image"`
		Tag    string `json:"tag"`
		Digest string `json:"digest"`
	}
	if err := json.Unmarshal(body, &push); err != nil {
		return nil, err
	}
	image, err := environments.ParseImage(push.Image)
	if err != nil {
		return nil, err
	}
	hint := Hint{Kind: Image, Repository: image.Repository, Tag: image.Tag, Digest: string(image.Digest)}
	if push.Tag != "" {
		hint.Tag = push.Tag
	}
	if push.Digest != "" {
		hint.Digest = push.Digest
	}
	return []Hint{hint}, nil
}

// hostOf is the host of an address, empty where there is none.
func hostOf(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return parsed.Host
}

// join makes a repository of its parts, leaving out those not known.
func join(parts ...string) string {
	var known []string
	for _, part := range parts {
		if part != "" {
			known = append(known, part)
		}
	}
	return strings.Join(known, "/")
}
