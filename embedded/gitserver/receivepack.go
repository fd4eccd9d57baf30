package gitserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
)

// maxCommands bounds the references that one push may move.
const maxCommands = 1000

// push is one request of receive-pack.
type push struct {
	caps     *capability.List
	commands []*packp.Command
}

// receivePack answers a push (gitprotocol-pack(5), "Pushing Data To a Server"):
// objects are stored and checked first, references move last, each only where
// it still is where the client saw it.
func (s *Server) receivePack(w io.Writer, body io.Reader, call request) error {
	ask, err := parsePush(pktline.NewScanner(body))
	if err != nil || len(ask.commands) == 0 {
		// Nothing to do is the probe that git sends before a large push.
		return err
	}
	report := packp.NewReportStatus()
	report.UnpackStatus = "ok"
	if ask.bringsObjects() {
		if err := s.store(call.name, body); err != nil {
			var rejected *protocolError
			if !errors.As(err, &rejected) {
				return err
			}
			report.UnpackStatus = rejected.Error()
		}
	}
	var moved []*packp.Command
	if report.UnpackStatus == "ok" {
		moved, err = s.updateReferences(ask, call, report)
	} else {
		for _, command := range ask.commands {
			setStatus(report, command.Name, "unpacker error")
		}
	}
	s.announce(moved, call)
	if err != nil {
		return err
	}
	if !ask.caps.Supports(capability.ReportStatus) {
		return nil
	}
	return report.Encode(w)
}

// store keeps the objects of a push where there is room for them.
func (s *Server) store(name string, body io.Reader) error {
	if err := s.room(name, time.Now()); err != nil {
		// The client listens once it has sent all; its bound holds here too.
		_, drained := io.Copy(io.Discard, body)
		return errors.Join(err, drained)
	}
	pack := &counted{Reader: body}
	if err := storePack(s.path(name), pack, s.options.MaxPushBytes); err != nil {
		return err
	}
	s.grow(name, pack.bytes)
	return nil
}

// announce tells the subscribers of what moved.
func (s *Server) announce(moved []*packp.Command, call request) {
	for _, command := range moved {
		push := Push{
			Repository: call.name,
			URL:        s.cloneURL(call.name),
			Ref:        command.Name.String(),
			Before:     command.Old.String(),
			After:      command.New.String(),
			Pusher:     call.user.Name,
		}
		if s.options.OnPush != nil {
			s.options.OnPush(push)
		}
		s.hooks.Enqueue(push)
	}
}

// updateReferences moves the references under the repository's lock and
// returns what moved.
func (s *Server) updateReferences(ask push, call request, report *packp.ReportStatus) ([]*packp.Command, error) {
	lock := s.lock(call.name)
	lock.Lock()
	defer lock.Unlock()
	gate, err := s.newGate(call)
	if err != nil {
		return nil, err
	}
	refusals, refused := make([]string, len(ask.commands)), false
	for i, command := range ask.commands {
		refusals[i] = gate.refuse(context.Background(), command)
		refused = refused || refusals[i] != ""
	}
	var moved []*packp.Command
	for i, command := range ask.commands {
		switch {
		case refusals[i] != "":
			setStatus(report, command.Name, refusals[i])
		case refused && ask.caps.Supports(capability.Atomic):
			setStatus(report, command.Name, "atomic push failed")
		default:
			if err := gate.apply(command); err != nil {
				s.options.Log.Error("git server", "repository", call.name, "reference", command.Name, "error", err)
				setStatus(report, command.Name, "failed to update ref")
				continue
			}
			setStatus(report, command.Name, "ok")
			moved = append(moved, command)
		}
	}
	return moved, nil
}

func setStatus(report *packp.ReportStatus, name plumbing.ReferenceName, status string) {
	report.CommandStatuses = append(report.CommandStatuses, &packp.CommandStatus{ReferenceName: name, Status: status})
}

// bringsObjects is false for a push that only deletes: no pack follows it.
func (p push) bringsObjects() bool {
	for _, command := range p.commands {
		if command.Action() != packp.Delete {
			return true
		}
	}
	return false
}

// parsePush reads the commands, up to the flush; the pack follows.
func parsePush(lines *pktline.Scanner) (push, error) {
	ask := push{caps: capability.NewList()}
	names := map[plumbing.ReferenceName]bool{}
	for lines.Scan() {
		line := bytes.TrimSuffix(lines.Bytes(), []byte("\n"))
		if len(line) == 0 {
			return ask, nil
		}
		if bytes.HasPrefix(line, []byte("shallow ")) {
			// Whether history is whole is checked on what arrives.
			continue
		}
		line, caps, first := bytes.Cut(line, []byte{0})
		if first {
			if err := ask.caps.Decode(caps); err != nil {
				return ask, badRequest("capabilities: %v", err)
			}
		}
		command, err := parseCommand(string(line))
		if err != nil {
			return ask, err
		}
		if names[command.Name] || len(ask.commands) >= maxCommands {
			return ask, badRequest("reference %s: pushed twice, or more than %d references", command.Name, maxCommands)
		}
		names[command.Name] = true
		ask.commands = append(ask.commands, command)
	}
	if err := lines.Err(); err != nil {
		return ask, err
	}
	if len(ask.commands) > 0 {
		return ask, badRequest("the list of references does not end")
	}
	return ask, nil
}

// parseCommand reads "OLD NEW NAME".
func parseCommand(line string) (*packp.Command, error) {
	const ids = 2*40 + 2
	if len(line) <= ids || line[40] != ' ' || line[81] != ' ' ||
		!plumbing.IsHash(line[:40]) || !plumbing.IsHash(line[41:81]) {
		return nil, badRequest("malformed command %q", fmt.Sprintf("%.200s", line))
	}
	return &packp.Command{
		Old:  plumbing.NewHash(line[:40]),
		New:  plumbing.NewHash(line[41:81]),
		Name: plumbing.ReferenceName(line[ids:]),
	}, nil
}
