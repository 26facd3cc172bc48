// Package auditlog keeps the decisions of a [mcpauth.Middleware]: one record
// per request, without secrets, in a log, in a file, or wherever a [Sink] puts it.
//
//	file, err := auditlog.OpenFile(auditlog.FileOptions{Path: "/var/log/mcp/audit.jsonl"})
//	queue := auditlog.NewQueue(file, 4096)
//	log, err := auditlog.New(queue, auditlog.Options{FailClosed: true})
//	config.OnDecision = log.OnDecision
//
// # What a record never holds
//
// No token, proof, session id or secret; no arguments of tools, no contents, no
// query; no claim but issuer, subject, client and actors. Token and session
// stand there as fingerprints. Whatever a sender wrote is one line of printable
// characters, 256 bytes at the most.
//
// # What is promised
//
// A record is in the file, in one piece, when [File.Write] returns nil, and on
// the disk as [FileOptions].SyncEvery says. After a crash the file is continued: a line that was
// cut off is closed and marked. A file that was renamed or removed is opened
// anew at its path. Records in a [Queue] are in memory: a crash loses at most as
// many as the queue holds.
//
// When a record cannot be kept, the request is served and the loss is counted
// ([Log.Lost]), or, with FailClosed, the request is refused with 503.
package auditlog
