// Package swarm is the peer-to-peer side of ipfs-kit: a libp2p host in a
// private network, and the loop by which a worker joins the masters.
package swarm

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
)

// agentKey is where Identify puts what a peer says of itself in the peerstore.
const agentKey = "AgentVersion"

// Options say who a Node is and where it listens.
type Options struct {
	// Agent is told to every peer by libp2p's Identify protocol; see Agent.
	Agent string
	// Listen is the multiaddr to listen on; only TCP works in a private network.
	Listen string
	// Secret is the 32-byte key of the private network: hosts with another key
	// cannot even start a handshake.
	Secret []byte
	// Identity is the private key of the peer; nil makes a new one.
	Identity crypto.PrivKey
}

// Node is one libp2p host.
type Node struct {
	host  host.Host
	agent string
}

// Peer is one connection, in the shape of an entry of IPFS's
// /api/v0/swarm/peers, with what the peer said of itself beside it.
type Peer struct {
	// Addr is the peer's address on this connection, a multiaddr.
	Addr string `json:"Addr"`
	// Peer is the peer's identity.
	Peer string `json:"Peer"`
	// Direction is "inbound" when the peer opened the connection.
	Direction string `json:"Direction"`
	// Agent is the peer's agent version from Identify, empty until that is done.
	Agent string `json:"Agent"`
	// Role is the role in Agent, empty for agents of another kind.
	Role string `json:"Role"`
}

// Identity is what a node says of itself, in the shape of IPFS's /api/v0/id.
type Identity struct {
	// ID is the peer identity.
	ID string `json:"ID"`
	// Addresses are the node's multiaddrs, each ending in /p2p/ID.
	Addresses []string `json:"Addresses"`
	// AgentVersion is the node's own agent.
	AgentVersion string `json:"AgentVersion"`
}

// Agent is the agent version of a peer: "ipfs-kit/<version>/<role>".
func Agent(version, role string) string {
	return fmt.Sprintf("ipfs-kit/%s/%s", version, role)
}

// roleOf is the role in an agent version made by Agent, else "".
func roleOf(agent string) string {
	parts := strings.Split(agent, "/")
	if len(parts) != 3 || parts[0] != "ipfs-kit" {
		return ""
	}
	return parts[2]
}

// New starts a host that listens.
func New(options Options) (*Node, error) {
	if len(options.Secret) != 32 {
		return nil, errors.New("the secret of the private network must have 32 bytes")
	}
	settings := []libp2p.Option{
		libp2p.ListenAddrStrings(options.Listen),
		libp2p.UserAgent(options.Agent),
		libp2p.PrivateNetwork(pnet.PSK(options.Secret)),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
	}
	if options.Identity != nil {
		settings = append(settings, libp2p.Identity(options.Identity))
	}
	h, err := libp2p.New(settings...)
	if err != nil {
		return nil, fmt.Errorf("start the libp2p host on %s: %w", options.Listen, err)
	}
	return &Node{host: h, agent: options.Agent}, nil
}

// Close ends all connections.
func (n *Node) Close() error { return n.host.Close() }

// Identity tells who the node is and where to reach it.
func (n *Node) Identity() Identity {
	id := Identity{ID: n.host.ID().String(), AgentVersion: n.agent, Addresses: []string{}}
	for _, address := range n.host.Addrs() {
		id.Addresses = append(id.Addresses, address.String()+"/p2p/"+id.ID)
	}
	slices.Sort(id.Addresses)
	return id
}

// Peers lists one connection for each connected peer, ordered by identity.
func (n *Node) Peers() []Peer {
	peers := []Peer{}
	for _, id := range n.host.Network().Peers() {
		connections := n.host.Network().ConnsToPeer(id)
		if len(connections) == 0 {
			continue
		}
		agent := n.agentOf(id)
		peers = append(peers, Peer{
			Addr:      connections[0].RemoteMultiaddr().String(),
			Peer:      id.String(),
			Direction: strings.ToLower(connections[0].Stat().Direction.String()),
			Agent:     agent,
			Role:      roleOf(agent),
		})
	}
	slices.SortFunc(peers, func(a, b Peer) int { return strings.Compare(a.Peer, b.Peer) })
	return peers
}

func (n *Node) agentOf(id peer.ID) string {
	value, err := n.host.Peerstore().Get(id, agentKey)
	if err != nil {
		return "" // Identify has not finished yet.
	}
	agent, _ := value.(string)
	return agent
}

func (n *Node) connected(id peer.ID) bool {
	return n.host.Network().Connectedness(id) == network.Connected
}

// addressInfo parses an Identity that another node answered. Loopback
// addresses are left out where there are others: across pods they lead back
// to the one who asks.
func addressInfo(id Identity) (peer.AddrInfo, error) {
	var all, remote []ma.Multiaddr
	var who peer.ID
	for _, text := range id.Addresses {
		info, err := peer.AddrInfoFromString(text)
		if err != nil {
			return peer.AddrInfo{}, fmt.Errorf("address %q: %w", text, err)
		}
		who = info.ID
		all = append(all, info.Addrs...)
		if !strings.HasPrefix(text, "/ip4/127.") && !strings.HasPrefix(text, "/ip6/::1/") {
			remote = append(remote, info.Addrs...)
		}
	}
	switch {
	case len(all) == 0:
		return peer.AddrInfo{}, fmt.Errorf("peer %q names no address", id.ID)
	case len(remote) == 0:
		remote = all
	}
	return peer.AddrInfo{ID: who, Addrs: remote}, nil
}
