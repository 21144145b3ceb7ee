// Package wire is what the faces of clouds share: an OpenAPI document that every request and reply is held against
// ([Document], [Checks]), what goes wrong on the way ([Faults]), what things have cost ([Ledger]), and containers that are
// processes of this computer ([Box]). It is for tests alone.
package wire
