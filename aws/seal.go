package aws

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
)

// seal encrypts what Run Command's history must not show, as "openssl enc -aes-256-ctr -pbkdf2 -iter 1" does with the
// same key, which is random: nothing is gained by more rounds. Nobody between is to be kept from changing it, since
// AWS's API carries it both ways.
type seal string

const salted = "Salted__"

func newSeal() seal { return seal(rand.Text() + rand.Text()) }

func (s seal) stream(salt []byte) (cipher.Stream, error) {
	k, err := pbkdf2.Key(sha256.New, string(s), salt, 1, 48)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(k[:32])
	if err != nil {
		return nil, err
	}
	return cipher.NewCTR(block, k[32:]), nil
}

func (s seal) encrypt(plain []byte) (string, error) {
	b := make([]byte, len(salted)+8, len(salted)+8+len(plain))
	copy(b, salted)
	_, _ = rand.Read(b[len(salted):]) // never fails
	c, err := s.stream(b[len(salted):])
	if err != nil {
		return "", err
	}
	b = append(b, plain...)
	c.XORKeyStream(b[len(salted)+8:], b[len(salted)+8:])
	return base64.StdEncoding.EncodeToString(b), nil
}

func (s seal) decrypt(text string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil || len(b) < len(salted)+8 || string(b[:len(salted)]) != salted {
		return nil, errors.New("what the machine printed is cut or damaged")
	}
	c, err := s.stream(b[len(salted) : len(salted)+8])
	if err != nil {
		return nil, err
	}
	plain := b[len(salted)+8:]
	c.XORKeyStream(plain, plain)
	return plain, nil
}
