// Package ssmsession carries a network connection through the data channel of an AWS Systems Manager session: what the
// document AWS-StartSSHSession makes of a machine's port 22, without any port of the machine being open.
//
// A data channel is a websocket. Its first message, a text, shows the token of StartSession; all others are binary, see
// message. Each side numbers its stream messages from 0, and sends one again until the other has acknowledged it;
// either may come more than once and in any order. The layout and the numbers are those of the public sources of
// session-manager-plugin and amazon-ssm-agent.
//
// [Dial] is the client's side. [Agent] is the machine's, for the tests of whoever dials.
package ssmsession
