package transfer

import (
	"path"
	"strings"
)

// packed are the ends of names of files that gzip does not make smaller: it would be slower than any line that is not
// very slow, and gain nothing.
var packed = map[string]bool{
	".safetensors": true, ".bin": true, ".pt": true, ".pth": true, ".ckpt": true, ".gguf": true, ".onnx": true, ".npz": true, ".h5": true, // weights
	".parquet": true, ".jpg": true, ".jpeg": true, ".png": true, ".webp": true, ".mp3": true, ".mp4": true, ".flac": true, ".opus": true,
	".gz": true, ".tgz": true, ".zst": true, ".xz": true, ".bz2": true, ".lz4": true, ".zip": true, ".7z": true, ".whl": true,
}

// shrinks reports whether most of the bytes may be of files that gzip makes smaller.
func (t *table) shrinks() bool {
	var all, hard int64
	for i := range t.all {
		if e := &t.all[i]; !e.dir {
			all += e.size
			if packed[strings.ToLower(path.Ext(e.name))] {
				hard += e.size
			}
		}
	}
	return hard <= all/2
}
