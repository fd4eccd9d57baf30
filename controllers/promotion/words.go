package promotion

import (
	"cmp"
	"fmt"
	"path"
	"strings"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/internal/convert"
	"github.com/serin-gitops/serin/controllers/internal/status"
	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/overlays"
)

// message is what a commit says.
type message struct {
	subject, body string
	trailers      []overlays.Trailer
}

// Bounds of what is written into commits and pull requests, in bytes.
const (
	maxReason = 500
	maxDiff   = 40000
)

// short is an image for a headline: its last name and tag.
func short(image environments.Image) string {
	name := path.Base(image.Repository)
	if image.Tag != "" {
		return name + ":" + image.Tag
	}
	return name + "@" + image.Digest.Short()
}

func shorts(images []environments.Image) string {
	names := make([]string, 0, len(images))
	for _, image := range images {
		names = append(names, short(image))
	}
	return strings.Join(names, ", ")
}

// trailers carry the Promotion, so that it survives the loss of the cluster.
func (s *scope) trailers() []overlays.Trailer {
	return []overlays.Trailer{
		{Key: environments.TrailerPipeline, Value: s.pipeline.Namespace + "/" + s.pipeline.Name},
		{Key: environments.TrailerEnvironment, Value: s.record.Environment},
		{Key: environments.TrailerRelease, Value: s.record.Release},
		{Key: environments.TrailerPromotion, Value: s.record.Name},
	}
}

// promotes is the message of a promotion.
func (s *scope) promotes(images []environments.Image) message {
	return message{
		subject:  fmt.Sprintf("Promote %s to %s", shorts(images), s.record.Environment),
		body:     s.facts() + s.proof(),
		trailers: s.trailers(),
	}
}

// rollsBack is the message of a rollback.
func (s *scope) rollsBack(images []environments.Image) message {
	words := message{
		subject:  fmt.Sprintf("Roll %s back to %s", s.record.Environment, shorts(images)),
		body:     fmt.Sprintf("Release %s failed in %s: %s\n", s.record.Release, s.record.Environment, s.record.Failure),
		trailers: s.trailers(),
	}
	for _, image := range s.present(images) {
		rejected := string(image.Digest)
		if rejected == "" {
			rejected = image.String()
		}
		words.trailers = append(words.trailers, overlays.Trailer{Key: environments.TrailerRejected, Value: rejected})
	}
	words.trailers = append(words.trailers, overlays.Trailer{Key: environments.TrailerReason, Value: oneLine(s.record.Failure)})
	return words
}

// oneLine makes text fit for a trailer.
func oneLine(text string) string { return cmp.Or(status.OneLine(text, maxReason), "failed") }

// facts say what the Release's images are and where they come from.
func (s *scope) facts() string {
	var text strings.Builder
	for _, image := range s.release.Spec.Images {
		fmt.Fprintf(&text, "- %s\n", convert.Image(image.ImageReference))
		if before, known := environments.Find(s.record.Previous, image.Repository); known {
			fmt.Fprintf(&text, "  %s\n", replaces(before, convert.Image(image.ImageReference)))
		}
		if image.Created != nil {
			fmt.Fprintf(&text, "  built %s\n", image.Created.UTC().Format("2006-01-02 15:04:05 UTC"))
		}
		if image.Revision != "" {
			fmt.Fprintf(&text, "  from revision %s%s\n", image.Revision, s.compared(image))
		}
	}
	return text.String()
}

// replaces says what an image takes the place of.
func replaces(before, now environments.Image) string {
	if before.Same(now) {
		return "as before"
	}
	return "in place of " + before.Short()
}

// compared links to what changed in the source since what Git had before.
func (s *scope) compared(image v1alpha1.ReleaseImage) string {
	source := strings.TrimSuffix(image.Source, ".git")
	if !strings.HasPrefix(source, "https://") && !strings.HasPrefix(source, "http://") {
		return ""
	}
	before, known := environments.Find(s.record.Previous, image.Repository)
	if !known {
		return " of " + source
	}
	for _, release := range s.releasesRaw {
		for _, candidate := range release.Spec.Images {
			if candidate.Revision != "" && candidate.Revision != image.Revision && environments.Pinned(before, convert.Image(candidate.ImageReference)) {
				return fmt.Sprintf(" (%s/compare/%s...%s)", source, candidate.Revision, image.Revision)
			}
		}
	}
	return " of " + source
}

// proof is what the Environments before measured.
func (s *scope) proof() string {
	var text strings.Builder
	for _, before := range s.environment.After {
		for _, rival := range s.rivals {
			if rival.Environment != before || rival.Release != s.record.Release || rival.Phase != environments.Succeeded {
				continue
			}
			fmt.Fprintf(&text, "\nIn %s since %s: %s\n", before, rival.Succeeded.UTC().Format("2006-01-02 15:04:05 UTC"), rival.Message)
			for _, line := range rival.Evidence {
				fmt.Fprintf(&text, "- %s\n", line)
			}
		}
	}
	return text.String()
}

// gates says what was asked for before this.
func (s *scope) gates() string {
	var open []string
	if len(s.environment.After) > 0 {
		open = append(open, fmt.Sprintf("succeeded in %s", strings.Join(s.environment.After, ", ")))
	}
	if s.environment.Soak > 0 {
		open = append(open, fmt.Sprintf("ran there for %s", environments.Span(s.environment.Soak)))
	}
	if len(s.environment.Freeze) > 0 {
		open = append(open, "not frozen")
	}
	if s.record.RequestedBy != "" {
		return fmt.Sprintf("%s asked for it; gates were not asked.", s.record.RequestedBy)
	}
	if len(open) == 0 {
		return "None but your approval."
	}
	return "Open: " + strings.Join(open, "; ") + ". Your approval is left."
}

// page is the body of a pull request, in Markdown.
func (s *scope) page(words message, diff string) string {
	if len(diff) > maxDiff {
		diff = strings.ToValidUTF8(diff[:maxDiff], "") + "\n... (cut; the branch has all of it)\n"
	}
	fence := "```"
	for strings.Contains(diff, fence) {
		fence += "`"
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n**Gates.** %s\n\nMerging approves, closing rejects.\n\n", words.body, s.gates())
	fmt.Fprintf(&text, "<details><summary>What the cluster gets</summary>\n\n%sdiff\n%s\n%s\n\n</details>\n\n", fence, diff, fence)
	fmt.Fprintf(&text, "Promotion `%s` of Pipeline `%s/%s`.\n", s.record.Name, s.pipeline.Namespace, s.pipeline.Name)
	return text.String()
}
