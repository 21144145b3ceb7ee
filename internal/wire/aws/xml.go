package aws

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"strconv"
	"time"
)

// xmlReply writes a reply in EC2's or the older Query protocol. What the model does not have is noted.
func (d *reader) xmlReply(o *operation, v params, request string) []byte {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	fmt.Fprintf(&b, "<%sResponse xmlns=%q>", o.name, d.m.Metadata.XMLNamespace)
	body := func() {
		if o.Output != nil {
			d.element(&b, v, o.Output.shape, o.name)
		}
	}
	if d.m.Metadata.Protocol == "ec2" {
		fmt.Fprintf(&b, "<requestId>%s</requestId>", request)
		body()
	} else {
		fmt.Fprintf(&b, "<%sResult>", o.name)
		body()
		fmt.Fprintf(&b, "</%sResult><ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata>", o.name, request)
	}
	fmt.Fprintf(&b, "</%sResponse>", o.name)
	return b.Bytes()
}

// element writes what stands between the tags of a value.
func (d *reader) element(b *bytes.Buffer, v any, s *shape, path string) {
	switch x := v.(type) {
	case params:
		if s.Type != "structure" {
			d.wrong("reply", "%s is a %s", path, s.Type)
			return
		}
		for _, name := range sortedKeys(x) {
			r := s.Members[name]
			if r == nil {
				d.wrong("reply", "%s.%s is not in the model", path, name)
				continue
			}
			if x[name] == nil {
				continue
			}
			tag := replyName(name, r)
			b.WriteString("<" + tag + ">")
			d.element(b, x[name], r.shape, join(path, name))
			b.WriteString("</" + tag + ">")
		}
	case []params:
		for _, e := range x {
			d.item(b, e, s, path)
		}
	case []string:
		for _, e := range x {
			d.item(b, e, s, path)
		}
	case string:
		if s.Type == "string" {
			d.text(x, s, path)
		}
		_ = xml.EscapeText(b, []byte(x))
	case int:
		b.WriteString(strconv.Itoa(x))
	case int64:
		b.WriteString(strconv.FormatInt(x, 10))
	case float64:
		b.WriteString(strconv.FormatFloat(x, 'f', -1, 64))
	case bool:
		b.WriteString(strconv.FormatBool(x))
	case time.Time:
		b.WriteString(x.UTC().Format("2006-01-02T15:04:05.000Z"))
	case []byte:
		b.WriteString(base64.StdEncoding.EncodeToString(x))
	default:
		d.wrong("reply", "%s has a %T", path, v)
	}
}

func (d *reader) item(b *bytes.Buffer, v any, s *shape, path string) {
	if s.Type != "list" {
		d.wrong("reply", "%s is a %s", path, s.Type)
		return
	}
	tag := "item"
	if d.m.Metadata.Protocol == "query" {
		tag = "member"
	}
	if s.Member.LocationName != "" {
		tag = s.Member.LocationName
	}
	b.WriteString("<" + tag + ">")
	d.element(b, v, s.Member.shape, path)
	b.WriteString("</" + tag + ">")
}
