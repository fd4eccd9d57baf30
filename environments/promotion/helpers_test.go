package promotion

import (
	"strings"
	"time"

	"github.com/serin-gitops/serin/environments"
)

var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func img(tag string) environments.Image {
	return environments.Image{Repository: "registry/app", Tag: tag, Digest: environments.Digest("sha256:" + strings.Repeat(tag[len(tag)-1:], 64))}
}

func rel(sequence int64, tag string) environments.Release {
	images := []environments.Image{img(tag)}
	return environments.Release{Name: environments.ReleaseName("app", images), Sequence: sequence, Images: images}
}

func promo(environment string, r environments.Release, number int64, phase environments.Phase) environments.Promotion {
	p := environments.Promotion{
		Name: environments.PromotionName("app", environment, r.Name, 1), Environment: environment, Release: r.Name,
		Attempt: 1, Number: number, Phase: phase, Created: start.Add(time.Duration(number) * time.Second),
	}
	switch phase {
	case environments.Succeeded:
		p.Succeeded = start
		p.Written = start
	case environments.Applying, environments.RollingOut, environments.Soaking, environments.RollingBack, environments.RolledBack:
		p.Written = start
	default:
	}
	return p
}
