// Package s3store moves files between this computer and a bucket of any S3-compatible store.
//
//	store, err := s3store.New(s3store.Config{
//		Endpoint:    "https://s3.eu-central-1.amazonaws.com",
//		Region:      "eu-central-1",
//		Credentials: credentials, // of the SDK: an aws.CredentialsProvider
//		Bucket:      "training",
//		Prefix:      "runs/",
//	})
//	if err != nil {
//		return err
//	}
//	if _, err := store.Upload(ctx, "data/train.bin", "train.bin"); err != nil {
//		return err
//	}
//	_, err = store.Sync(ctx, s3store.Down, "results", "r-7m2q/outputs")
//
// What it sees to:
//
//   - What was cut goes on where it stopped, within the call and in a later one, also of another process: a download
//     from the bytes that it has, as long as the object's ETag is the same; an upload from the parts that the store has.
//   - Sums decide. The store verifies what it is sent against the sums of this computer, part by part and as a whole.
//     What it sends is verified against the object's own sum; another one is a [*SumError], and fewer bytes than it
//     announced are a [*TruncatedError]. An object without a sum of its own is held to its length and its ETag.
//   - A file has its name only when all of it is there: it is written under another one, below a directory that no link
//     leads out of.
//   - Memory is bounded, whatever the sizes: [Config.Workers] parts and two more while uploading, a few buffers while
//     downloading, about 300 bytes for each file of a [Store.Sync].
//   - Nothing is ever deleted, in no bucket and in no directory. What uploads that were never finished have left in a
//     bucket is billed by the store until [Store.Sweep] ends them.
//
// Errors are [*runctl.Error], without credentials or signatures.
package s3store
