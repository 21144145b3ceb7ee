package aws_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/aws"
	"runctl/internal/enginetest"
	"runctl/providertest"
)

// startMoto starts moto's server, which plays AWS: another author's reading of the same documentation.
func startMoto(t *testing.T) string {
	t.Helper()
	bin := enginetest.Find(t, "moto", "moto_server", "moto: pip install 'moto[server]'")
	port := freePort(t)
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	daemon(t, url+"/moto-api/data.json", bin, "-H", "127.0.0.1", "-p", fmt.Sprint(port))
	return url
}

func motoConfig(url string, transport http.RoundTripper) awssdk.Config {
	return awssdk.Config{Region: region, BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("testing", "testing", ""), HTTPClient: &http.Client{Transport: transport}}
}

// motoImage is an image that moto has: it does not know the Deep Learning parameters, and of Amazon Linux those of some regions.
func motoImage(t *testing.T, url string) string {
	t.Helper()
	out, err := ec2.NewFromConfig(motoConfig(url, http.DefaultTransport)).DescribeImages(t.Context(), &ec2.DescribeImagesInput{Owners: []string{"amazon"},
		Filters: []types.Filter{{Name: awssdk.String("architecture"), Values: []string{"x86_64"}}, {Name: awssdk.String("root-device-type"), Values: []string{"ebs"}},
			{Name: awssdk.String("name"), Values: []string{"al2023-*", "amzn2-*"}}}})
	require.NoError(t, err)
	require.NotEmpty(t, out.Images)
	return *out.Images[0].ImageId
}

// motoMachine is a launch without a GPU, whose price moto does not know.
func motoMachine(key string) runctl.LaunchSpec {
	return runctl.LaunchSpec{Key: key, Lifetime: time.Hour, MaxHourly: runctl.USD(10), Offer: &motoOffer}
}

// motoOffer is an offer as Offers makes it. Moto has no price list, so that its price is given.
var motoOffer = runctl.Offer{Provider: "aws", ID: "t3.micro/us-west-2a/on-demand/x86_64/plain", Type: "t3.micro", Region: region, Zone: "us-west-2a", Market: runctl.OnDemand,
	VCPU: 2, Memory: 1024, Roads: runctl.RoadShell, EndsItself: true, Keeps: true, Price: runctl.Price{Hourly: runctl.USD(0.0104), Source: "test"}}

// oneOffer is the provider with the one offer that moto is asked for: it has no prices, and tells of 1,263 types at once.
type oneOffer struct{ *aws.Provider }

func (oneOffer) Offers(context.Context, runctl.OfferQuery) ([]runctl.Offer, error) {
	return []runctl.Offer{motoOffer}, nil
}

// TestContractOnMoto holds the provider to its contract over moto, but for what moto does otherwise than AWS.
func TestContractOnMoto(t *testing.T) {
	t.Parallel()
	url := startMoto(t)
	image := motoImage(t, url)
	n := 100000000000
	providertest.Run(t, providertest.Harness{
		New: func(t *testing.T, net http.RoundTripper) runctl.Provider {
			n++ // an account each: moto makes one of whatever role is assumed in it
			cfg := motoConfig(url, net)
			cfg.Credentials = assumed(t, url, fmt.Sprint(n))
			p, err := aws.New(aws.Config{Config: cfg, Image: image, TokensIgnored: true, Road: aws.RoadSSH, SSHFrom: []string{"127.0.0.1/32"}})
			require.NoError(t, err)
			return oneOffer{p}
		},
		IsLaunch: isLaunch, States: words, Many: 3, Patience: 2 * time.Second, Slow: 10 * time.Second, Skip: motoSkips(),
	})
}

// motoSkips are the rows that moto cannot meet, with what it does otherwise than AWS.
func motoSkips() map[string]string {
	skips := map[string]string{}
	for _, r := range providertest.Rows() {
		switch part, _, _ := strings.Cut(r.Name, "/"); {
		case enters(r.Name):
			skips[r.Name] = "moto's machines are records that nobody can enter"
		case part == "Errors" || part == "Calls":
			skips[r.Name] = "what is injected on the wire, and what is counted there, is the same over the wire face, which answers a hundred times as fast"
		case part == "Wire" || strings.HasSuffix(r.Name, "/MissingField"):
			skips[r.Name] = "replies that somebody has changed are the same over the wire face, which answers a hundred times as fast"
		case part == "Offers":
			skips[r.Name] = "moto has no price list; the offers are the test's own"
		}
	}
	return skips
}

// assumed are the credentials of another account.
func assumed(t *testing.T, url, account string) awssdk.CredentialsProvider {
	t.Helper()
	out, err := sts.NewFromConfig(motoConfig(url, http.DefaultTransport)).AssumeRole(t.Context(), &sts.AssumeRoleInput{
		RoleArn: awssdk.String("arn:aws:iam::" + account + ":role/test"), RoleSessionName: awssdk.String("test")})
	require.NoError(t, err)
	return credentials.NewStaticCredentialsProvider(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
}
