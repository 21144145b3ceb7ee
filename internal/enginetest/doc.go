// Package enginetest starts real engines for tests, in throw-away directories and on free loopback ports, and a
// network between them and the test that can be cut. A missing engine skips the test, unless the environment's
// RUNCTL_REQUIRE_ENGINES (a list split by commas) names it, or is not set where CI is "true".
// What an engine and its sessions have started ends with the test, and on Linux with its process, whatever ends that.
package enginetest
