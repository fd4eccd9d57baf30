package record

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
)

// maxUnpacked bounds in bytes what a packed text may become.
const maxUnpacked = 64 << 20

// Pack makes a text about ten times smaller, for the status of an object: gzip
// (RFC 1952) in base64.
func Pack(text string) string {
	return base64.StdEncoding.EncodeToString(compress([]byte(text)))
}

// Unpack gives the text that was packed. A text that begins with a brace, as
// all that is packed here does, was not packed and is given as it is.
func Unpack(packed string) (string, error) {
	if packed == "" || strings.HasPrefix(packed, "{") {
		return packed, nil
	}
	text, err := base64.StdEncoding.DecodeString(packed)
	if err != nil {
		return "", fmt.Errorf("it is neither JSON nor base64: %w", err)
	}
	return decompress(text)
}

func decompress(packed []byte) (string, error) {
	reader, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return "", fmt.Errorf("unpack: %w", err)
	}
	var text strings.Builder
	n, err := io.Copy(&text, io.LimitReader(reader, maxUnpacked+1))
	if err != nil {
		return "", fmt.Errorf("unpack: %w", err)
	}
	if n > maxUnpacked {
		return "", fmt.Errorf("unpack: it holds more than %d MiB", maxUnpacked>>20)
	}
	return text.String(), nil
}

// compress gives one member of a gzip file; members one after the other are
// their texts one after the other.
func compress(text []byte) []byte {
	var packed bytes.Buffer
	// Neither fails: the level is one of gzip's, the buffer takes all.
	writer, _ := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	_, _ = writer.Write(text)
	_ = writer.Close()
	return packed.Bytes()
}
