package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// stored is a manifest as it lies on disk, one file for each tag and digest.
type stored struct {
	MediaType string `json:"mediaType"`
	Manifest  []byte `json:"manifest"`
}

// manifestStore keeps manifests as <dir>/<repository>/<tag or digest>, both
// escaped to be one name.
type manifestStore struct {
	dir string
	// used is the bytes of blobs, uploads and manifests together.
	used *atomic.Int64
}

func (s manifestStore) path(repository, reference string) string {
	return filepath.Join(s.dir, url.PathEscape(repository), url.PathEscape(reference))
}

// draft begins the name of a file that is not whole yet; no reference begins so.
const draft = ".new-"

// lost notes that a tag is about to leave what it names: from now on that is
// kept for as long as Options.KeepUntagged says.
func (s manifestStore) lost(repository, tag string) error {
	path := s.path(repository, tag)
	content, err := os.ReadFile(path) //nolint:gosec // below the registry's folder
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var m stored
	if err := json.Unmarshal(content, &m); err != nil {
		return err
	}
	digest, _, err := v1.SHA256(bytes.NewReader(m.Manifest))
	if err != nil {
		return err
	}
	now := time.Now()
	if err := os.Chtimes(s.path(repository, digest.String()), now, now); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// put writes whole files only: a crash leaves the old one or the new one.
func (s manifestStore) put(repository, reference string, m stored) error {
	content, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode manifest %s of %s: %w", reference, repository, err)
	}
	path := s.path(repository, reference)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("make the folder of %s: %w", repository, err)
	}
	before := sizeOfFile(path)
	if err := writeWhole(path, content); err != nil {
		return err
	}
	s.used.Add(int64(len(content)) - before)
	return nil
}

// growth is how many bytes more are used once a manifest is put under its
// references.
func (s manifestStore) growth(repository string, m stored, references ...string) (int64, error) {
	content, err := json.Marshal(m)
	if err != nil {
		return 0, fmt.Errorf("encode a manifest of %s: %w", repository, err)
	}
	var total int64
	for _, reference := range references {
		total += int64(len(content)) - sizeOfFile(s.path(repository, reference))
	}
	return total, nil
}

// sizeOfFile is 0 where there is none.
func sizeOfFile(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

func writeWhole(path string, content []byte) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), draft+"*")
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write %s: %w", filepath.Base(path), err), os.Remove(file.Name()))
		}
	}()
	if _, err = file.Write(content); err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

func (s manifestStore) remove(repository, reference string) error {
	path := s.path(repository, reference)
	before := sizeOfFile(path)
	err := os.Remove(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		s.used.Add(-before)
	}
	return err
}

// load puts all that is kept into the handler, an index after what it names.
func (s manifestStore) load(into http.Handler) error {
	files, err := filepath.Glob(filepath.Join(s.dir, "*", "*"))
	if err != nil {
		return fmt.Errorf("registry: look for manifests: %w", err)
	}
	waiting := make([]*http.Request, 0, len(files))
	var total int64
	for _, path := range files {
		if strings.HasPrefix(filepath.Base(path), draft) {
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("registry: remove an unfinished manifest: %w", err)
			}
			continue
		}
		put, err := readPut(path)
		if err != nil {
			return fmt.Errorf("registry: manifest %s: %w; remove the file to go on without it", path, err)
		}
		waiting = append(waiting, put)
		total += sizeOfFile(path)
	}
	s.used.Add(total)
	for len(waiting) > 0 {
		refused := slices.DeleteFunc(slices.Clone(waiting), func(put *http.Request) bool {
			return replay(into, put).code == http.StatusCreated
		})
		if len(refused) == len(waiting) {
			put := refused[0]
			return fmt.Errorf("registry: %s is kept and does not load: %s; remove it from %s to go on without it",
				put.URL.Path, strings.TrimSpace(replay(into, put).body.String()), s.dir)
		}
		waiting = refused
	}
	return nil
}

// readPut makes the request that once brought the manifest.
func readPut(path string) (*http.Request, error) {
	repository, err := url.PathUnescape(filepath.Base(filepath.Dir(path)))
	if err != nil {
		return nil, err
	}
	reference, err := url.PathUnescape(filepath.Base(path))
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var m stored
	if err := json.Unmarshal(content, &m); err != nil {
		return nil, err
	}
	return newPut(repository, reference, m)
}

func newPut(repository, reference string, m stored) (*http.Request, error) {
	target := url.URL{Path: "/v2/" + repository + "/manifests/" + reference}
	put, err := http.NewRequest(http.MethodPut, target.String(), bytes.NewReader(m.Manifest))
	if err != nil {
		return nil, err
	}
	put.Header.Set("Content-Type", m.MediaType)
	return put, nil
}
