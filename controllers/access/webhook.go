package access

import (
	"context"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// Webhook gives what signs the requests of a webhook check (base64, with or
// without whsec_ before it) and the token that is sent along: the keys secret
// and token of the Secret that it names, of which one is enough.
func (s Secrets) Webhook(ctx context.Context, namespace, check string, ref *v1alpha1.LocalReference) (secret, token string, err error) {
	found, err := s.read(ctx, namespace, ref, "spec.analysis.checks[name="+check+"].webhook.secretRef")
	if err != nil || ref == nil {
		return "", "", err
	}
	secret, token = found.text("secret"), found.text("token")
	if secret == "" && token == "" {
		return "", "", found.problem("it has neither secret nor token; add the secret that signs requests, the token that is sent as bearer, or both")
	}
	if secret == "" {
		return "", token, nil
	}
	if _, err := standardwebhooks.NewWebhook(secret); err != nil {
		return "", "", found.problem("its secret is not base64; write whsec_ and 24 to 64 random bytes in base64")
	}
	return secret, token, nil
}
