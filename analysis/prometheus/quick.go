package prometheus

import (
	"context"
	"net/http"

	jsoniter "github.com/json-iterator/go"
	"github.com/prometheus/client_golang/api"
	"github.com/prometheus/common/model"
)

// quick is the connection of one question. It reads what nearly all answers are,
// series, in one pass and by the library's own decoders; the library itself, before
// Go 1.27, reads an answer once at each level that it is nested in. What else there
// is, from errors to scalars, stays the library's, as it came.
type quick struct {
	api.Client
	read *answer
}

// unread stands for an answer that was read already.
const unread = `{"status":"success","data":{"resultType":"matrix","result":[]}}`

// Do implements api.Client.
func (q *quick) Do(ctx context.Context, request *http.Request) (*http.Response, []byte, error) {
	response, body, err := q.Client.Do(ctx, request)
	q.read = nil
	if err != nil || response.StatusCode != http.StatusOK {
		return response, body, err
	}
	var a answer
	if jsoniter.Unmarshal(body, &a) != nil || a.Status != "success" || a.Data.Type != model.ValMatrix {
		return response, body, nil
	}
	q.read = &a
	return response, []byte(unread), nil
}

// answer is what /api/v1/query gives to a range selector, as
// https://prometheus.io/docs/prometheus/latest/querying/api/#range-vectors has it.
type answer struct {
	Status string `json:"status"`
	Data   struct {
		Type   model.ValueType `json:"resultType"`
		Matrix model.Matrix    `json:"result"`
	} `json:"data"`
	Warnings []string `json:"warnings"`
}
