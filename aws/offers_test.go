package aws

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
)

// typeXML is a row of EC2's catalog.
func typeXML(name, arch string, vcpu, mib int, usages string, gpu string) string {
	var use strings.Builder
	for _, u := range strings.Fields(usages) {
		use.WriteString("<item>" + u + "</item>")
	}
	return fmt.Sprintf(`<item><instanceType>%s</instanceType><processorInfo><supportedArchitectures><item>i386</item><item>%s</item></supportedArchitectures></processorInfo>
<vCpuInfo><defaultVCpus>%d</defaultVCpus></vCpuInfo><memoryInfo><sizeInMiB>%d</sizeInMiB></memoryInfo><supportedUsageClasses>%s</supportedUsageClasses>%s</item>`, name, arch, vcpu, mib, &use, gpu)
}

func gpuXML(maker, name string, count, mib int) string {
	return fmt.Sprintf(`<gpuInfo><gpus><item><name>%s</name><manufacturer>%s</manufacturer><count>%d</count><memoryInfo><sizeInMiB>%d</sizeInMiB></memoryInfo></item></gpus></gpuInfo>`, name, maker, count, mib)
}

// productJSON is a document of the Pricing API.
func productJSON(name, region, price string, change ...string) string {
	a := map[string]string{"instanceType": name, "regionCode": region, "operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used", "marketoption": "OnDemand"}
	for n := 0; n < len(change); n += 2 {
		a[change[n]] = change[n+1]
	}
	b, _ := json.Marshal(map[string]any{"product": map[string]any{"attributes": a}, "terms": map[string]any{"OnDemand": map[string]any{"X.Y": map[string]any{
		"priceDimensions": map[string]any{"X.Y.Z": map[string]any{"unit": "Hrs", "pricePerUnit": map[string]string{"USD": price}}}}}}})
	return string(b)
}

// withCatalog gives a region three types in two zones.
func withCatalog(s *stub) {
	s.says("DescribeInstanceTypes", "<instanceTypeSet>"+typeXML("p5.48xlarge", "x86_64", 192, 2<<20, "on-demand spot capacity-block", gpuXML("NVIDIA", "H100", 8, 81920))+
		typeXML("g6.xlarge", "x86_64", 4, 16384, "on-demand spot", gpuXML("NVIDIA", "L4", 1, 22888))+
		typeXML("c7g.large", "arm64", 2, 4096, "on-demand", "")+typeXML("mac2.metal", "x86_64_mac", 8, 16384, "on-demand", "")+
		typeXML("p6e.block", "x86_64", 8, 16384, "capacity-block", "")+"</instanceTypeSet>")
	s.says("DescribeInstanceTypeOfferings", `<instanceTypeOfferingSet><item><instanceType>p5.48xlarge</instanceType><location>eu-west-1b</location></item>
<item><instanceType>p5.48xlarge</instanceType><location>eu-west-1-wl1-dub-wlz-1</location></item><item><instanceType>g6.xlarge</instanceType><location>eu-west-1a</location></item>
<item><instanceType>c7g.large</instanceType><location>eu-west-1b</location></item><item><instanceType>c7g.large</instanceType><location>eu-west-1a</location></item></instanceTypeOfferingSet>`)
	s.does("GetProducts", func(v url.Values) (int, string) {
		all := []string{}
		for name, price := range map[string]string{"p5.48xlarge": "98.3200000000", "g6.xlarge": "0.8048000000"} {
			if strings.Contains(v.Get(""), `"`+name+`"`) || !strings.Contains(v.Get(""), `"instanceType"`) {
				all = append(all, productJSON(name, "eu-west-1", price))
			}
		}
		b, _ := json.Marshal(map[string]any{"PriceList": all})
		return 200, string(b)
	})
	s.says("DescribeSpotPriceHistory", spotXML("p5.48xlarge", "eu-west-1b", "30.5", "2026-11-02T09:00:00Z")+"")
}

func spotXML(name, zone, price, at string) string {
	return "<spotPriceHistorySet><item><instanceType>" + name + "</instanceType><availabilityZone>" + zone + "</availabilityZone><productDescription>Linux/UNIX</productDescription><spotPrice>" +
		price + "</spotPrice><timestamp>" + at + "</timestamp></item></spotPriceHistorySet>"
}

func lines(offers []runctl.Offer) []string {
	var out []string
	for _, o := range offers {
		out = append(out, fmt.Sprintf("%s %s %d %d %s %s", o.ID, o.GPU, o.VCPU, o.Memory, o.Price.Hourly, o.Price.Source))
	}
	slices.Sort(out)
	return out
}

func TestOffersAreTypesInTheirZonesAndMarketsWithPricesAndTheirSource(t *testing.T) {
	s, p := newStub(t)
	withCatalog(s)
	offers, err := p.Offers(t.Context(), runctl.OfferQuery{Market: runctl.OnDemand | runctl.Spot})
	require.NoError(t, err)
	assert.Empty(t, cmp.Diff([]string{
		"c7g.large/eu-west-1a/on-demand/arm64/plain - 2 4096 ? unknown: the Pricing API has none for this type here",
		"c7g.large/eu-west-1b/on-demand/arm64/plain - 2 4096 ? unknown: the Pricing API has none for this type here",
		"g6.xlarge/eu-west-1a/on-demand/x86_64/nvidia L4:1 4 16384 0.8048 USD AWS Pricing API",
		"g6.xlarge/eu-west-1a/spot/x86_64/nvidia L4:1 4 16384 ? unknown: no history of spot prices here",
		"p5.48xlarge/eu-west-1b/on-demand/x86_64/nvidia H100-SXM:8 192 2097152 98.32 USD AWS Pricing API",
		"p5.48xlarge/eu-west-1b/spot/x86_64/nvidia H100-SXM:8 192 2097152 30.50 USD spot price history",
	}, lines(offers)))
	for _, o := range offers {
		assert.Empty(t, o.Avail, "EC2 tells of nothing whether there is any left")
		assert.True(t, o.EndsItself)
		assert.Equal(t, o.Market == runctl.OnDemand, o.Keeps, "only a disk that stays keeps anything")
		got, ok := parseShape(o.ID)
		assert.True(t, ok)
		assert.Equal(t, o.Type, got.name)
	}
}

func TestAQueryForGPUsAsksForNothingElse(t *testing.T) {
	s, p := newStub(t)
	withCatalog(s)
	offers, err := p.Offers(t.Context(), runctl.OfferQuery{GPU: runctl.GPU{Model: "H100", Count: 8}, MaxHourly: runctl.USD(100)})
	require.NoError(t, err)
	assert.Equal(t, []string{"p5.48xlarge/eu-west-1b/on-demand/x86_64/nvidia H100-SXM:8 192 2097152 98.32 USD AWS Pricing API"}, lines(offers))
	assert.Equal(t, []string{"DescribeInstanceTypes", "DescribeInstanceTypeOfferings", "GetProducts"}, s.calls)
	assert.Contains(t, s.last("GetProducts").Get(""), "p5.48xlarge", "only what matches is asked the price of")
	assert.Equal(t, []string{"g*", "p*"}, []string{s.last("DescribeInstanceTypes").Get("Filter.1.Value.1"), s.last("DescribeInstanceTypes").Get("Filter.1.Value.2")})
	_, err = p.Offers(t.Context(), runctl.OfferQuery{GPU: runctl.GPU{Model: "H100", Count: 8}})
	require.NoError(t, err)
	assert.Len(t, s.calls, 3, "warm, it asks for nothing")
}

func TestWhatIsKnownIsBelievedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newStub(t)
		withCatalog(s)
		q := runctl.OfferQuery{Market: runctl.OnDemand | runctl.Spot, GPU: runctl.GPU{Model: "H100", Count: 8}}
		asked := func() map[string]int {
			_, err := p.Offers(t.Context(), q)
			require.NoError(t, err)
			out := map[string]int{}
			for _, c := range s.calls {
				out[c]++
			}
			return out
		}
		asked()
		later(4 * time.Minute)
		assert.Equal(t, 1, asked()["DescribeSpotPriceHistory"])
		later(2 * time.Minute)
		assert.Equal(t, 2, asked()["DescribeSpotPriceHistory"])
		assert.Equal(t, map[string]int{"DescribeInstanceTypes": 1, "DescribeInstanceTypeOfferings": 1, "GetProducts": 1, "DescribeSpotPriceHistory": 2}, asked())
		later(13 * time.Hour)
		assert.Equal(t, map[string]int{"DescribeInstanceTypes": 2, "DescribeInstanceTypeOfferings": 2, "GetProducts": 2, "DescribeSpotPriceHistory": 3}, asked())
	})
}

// later lets virtual time pass.
func later(d time.Duration) { <-time.After(d) }

func TestPricesThatCannotBeHadAreUnknownAndSayWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newStub(t)
		withCatalog(s)
		good := s.answer["GetProducts"]
		s.does("GetProducts", func(url.Values) (int, string) { return 400, `{"__type":"AccessDeniedException","message":"no"}` })
		s.refuses("DescribeSpotPriceHistory", 403, "UnauthorizedOperation")
		q := runctl.OfferQuery{Market: runctl.OnDemand | runctl.Spot, GPU: runctl.GPU{Model: "L4"}}
		for range 3 {
			offers, err := p.Offers(t.Context(), q)
			require.NoError(t, err)
			assert.Equal(t, []string{"g6.xlarge/eu-west-1a/on-demand/x86_64/nvidia L4:1 4 16384 ? unknown: the Pricing API answers AccessDeniedException",
				"g6.xlarge/eu-west-1a/spot/x86_64/nvidia L4:1 4 16384 ? unknown: EC2 answers UnauthorizedOperation"}, lines(offers))
			assert.False(t, offers[0].Price.Hourly.Known(), "missing is not zero")
		}
		assert.Equal(t, 1, s.count("GetProducts"), "who is refused does not ask each time")
		later(2 * failAge)
		s.does("GetProducts", good)
		offers, err := p.Offers(t.Context(), q)
		require.NoError(t, err)
		assert.Equal(t, runctl.USD(0.8048), offers[0].Price.Hourly)
	})
}

func TestManyPricesAreReadTogether(t *testing.T) {
	s, p := newStub(t)
	withCatalog(s)
	var rows, places strings.Builder
	for n := range 40 {
		name := "c7g." + strconv.Itoa(n) + "xlarge"
		rows.WriteString(typeXML(name, "arm64", 2, 4096, "on-demand", ""))
		places.WriteString("<item><instanceType>" + name + "</instanceType><location>eu-west-1a</location></item>")
	}
	s.says("DescribeInstanceTypes", "<instanceTypeSet>"+rows.String()+"</instanceTypeSet>")
	s.says("DescribeInstanceTypeOfferings", "<instanceTypeOfferingSet>"+places.String()+"</instanceTypeOfferingSet>")
	offers, err := p.Offers(t.Context(), runctl.OfferQuery{})
	require.NoError(t, err)
	assert.Len(t, offers, 40)
	assert.Equal(t, 1, s.count("GetProducts"))
}

func TestOnlyZonesOfTheConfiguredSubnetsAreOffered(t *testing.T) {
	s, p := newStub(t, func(c *Config) { c.Subnets = []string{"subnet-000000000000000a1"} })
	withCatalog(s)
	s.says("DescribeSubnets", "<subnetSet><item><subnetId>subnet-000000000000000a1</subnetId><vpcId>vpc-2</vpcId><availabilityZone>eu-west-1a</availabilityZone></item></subnetSet>")
	offers, err := p.Offers(t.Context(), runctl.OfferQuery{})
	require.NoError(t, err)
	require.NotEmpty(t, offers)
	for _, o := range offers {
		assert.Equal(t, "eu-west-1a", o.Zone)
	}
}

func TestGPUsHaveTheSameNamesAsEverywhere(t *testing.T) {
	for row, want := range map[string]runctl.GPU{
		gpuXML("NVIDIA", "H100", 8, 81920):                {Model: "H100-SXM", Count: 8, Memory: 80 << 10},
		gpuXML("NVIDIA", "H200", 8, 144384):               {Model: "H200-SXM", Count: 8, Memory: 141 << 10},
		gpuXML("NVIDIA", "A100", 8, 40960):                {Model: "A100-40GB", Count: 8, Memory: 40 << 10},
		gpuXML("NVIDIA", "A100", 8, 81920):                {Model: "A100-80GB", Count: 8, Memory: 80 << 10},
		gpuXML("NVIDIA", "A10G", 4, 22888):                {Model: "A10G", Count: 4, Memory: 24 << 10},
		gpuXML("NVIDIA", "L40S", 4, 45776):                {Model: "L40S", Count: 4, Memory: 48 << 10},
		gpuXML("NVIDIA", "T4g", 1, 16384):                 {Model: "T4G", Count: 1, Memory: 16 << 10},
		gpuXML("NVIDIA", "V100", 8, 32768):                {Model: "V100-32GB", Count: 8, Memory: 32 << 10},
		gpuXML("NVIDIA", "B200", 8, 183359):               {Model: "B200", Count: 8, Memory: 180 << 10},
		gpuXML("NVIDIA", "RTX PRO Server 6000", 2, 97887): {Model: "RTXPRO6000", Count: 2, Memory: 96 << 10},
		gpuXML("AMD", "Radeon Pro V520", 1, 8192):         {Model: "RADEON-PRO-V520", Count: 1, Memory: 8 << 10},
		strings.Replace(gpuXML("NVIDIA", "L4", 1, 2861), "<count>", "<gpuPartitionSize>0.125</gpuPartitionSize><count>", 1): {Model: "PART-OF-L4", Count: 1, Memory: 2861},
	} {
		s, p := newStub(t)
		withCatalog(s)
		s.says("DescribeInstanceTypes", "<instanceTypeSet>"+typeXML("c7g.large", "x86_64", 4, 16384, "on-demand", row)+"</instanceTypeSet>")
		offers, err := p.Offers(t.Context(), runctl.OfferQuery{})
		require.NoError(t, err)
		require.NotEmpty(t, offers)
		assert.Equal(t, want, offers[0].GPU, row)
		assert.Equal(t, strings.Contains(row, "NVIDIA"), strings.HasSuffix(offers[0].ID, "nvidia"), row)
	}
}

func TestPricesAreThoseOfAPlainLinuxMachineAndNoOthers(t *testing.T) {
	name, m, ok := parseProduct(productJSON("p5.48xlarge", "eu-west-1", "98.3200000001"), "eu-west-1")
	assert.True(t, ok)
	assert.Equal(t, "p5.48xlarge", name)
	assert.Equal(t, runctl.Money{Nanos: 98_320_000_000, Currency: "USD"}, m)
	_, m, ok = parseProduct(strings.Replace(productJSON("p5", "cn-north-1", "7.5"), "USD", "CNY", 1), "cn-north-1")
	assert.True(t, ok)
	assert.Equal(t, runctl.Money{Nanos: 7_500_000_000, Currency: "CNY"}, m)
	for what, text := range map[string]string{
		"another region": productJSON("p5", "us-east-1", "1"), "Windows": productJSON("p5", "eu-west-1", "1", "operatingSystem", "Windows"),
		"a dedicated host": productJSON("p5", "eu-west-1", "1", "tenancy", "Host"), "with SQL": productJSON("p5", "eu-west-1", "1", "preInstalledSw", "SQL Web"),
		"a reserved place": productJSON("p5", "eu-west-1", "1", "capacitystatus", "UnusedCapacityReservation"), "a block": productJSON("p5", "eu-west-1", "1", "marketoption", "CapacityBlock"),
		"nothing": productJSON("p5", "eu-west-1", "0.0000000000"), "negative": productJSON("p5", "eu-west-1", "-1"), "no number": productJSON("p5", "eu-west-1", "NaN"),
		"too much": productJSON("p5", "eu-west-1", "99999999999"), "more than a million": productJSON("p5", "eu-west-1", "1000001"), "an exponent": productJSON("p5", "eu-west-1", "1e3"), "no JSON": "{",
		"by the month": strings.Replace(productJSON("p5", "eu-west-1", "1"), "Hrs", "Mo", 1), "another currency": strings.Replace(productJSON("p5", "eu-west-1", "1"), "USD", "XXX", 1),
	} {
		_, _, ok := parseProduct(text, "eu-west-1")
		assert.False(t, ok, what)
	}
}

func TestPricesAreAskedForWhereThePricingAPIIs(t *testing.T) {
	for region, want := range map[string]string{"us-west-2": "us-east-1", "eu-north-1": "eu-central-1", "ap-south-2": "ap-south-1", "me-south-1": "eu-central-1",
		"ca-central-1": "us-east-1", "cn-north-1": "cn-northwest-1"} {
		assert.Equal(t, want, pricingRegion(region), region)
	}
}

func FuzzAProductIsReadWithoutSurprises(f *testing.F) {
	f.Add(productJSON("p5.48xlarge", "eu-west-1", "98.32"))
	f.Add(`{"terms":{"OnDemand":{"":{"priceDimensions":{"":{"unit":"Hrs","pricePerUnit":{"USD":"1."}}}}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		name, m, ok := parseProduct(text, "eu-west-1")
		if ok && (name == "" || m.Nanos <= 0 || m.Nanos > 1e15 || m.Currency != "USD" && m.Currency != "CNY") {
			t.Fatalf("%q %v", name, m)
		}
	})
}

func FuzzAnOfferIsReadAsItIsWritten(f *testing.F) {
	f.Add("p5.48xlarge/eu-west-1b/spot/x86_64/nvidia")
	f.Add("////")
	f.Fuzz(func(t *testing.T, id string) {
		if s, ok := parseShape(id); ok && s.String() != id {
			t.Fatal(id)
		}
	})
}

func TestACanceledQueryEndsAtOnce(t *testing.T) {
	s, p := newStub(t)
	withCatalog(s)
	ctx, cancel := context.WithCancel(t.Context())
	good := s.answer["GetProducts"]
	s.does("GetProducts", func(v url.Values) (int, string) { cancel(); return good(v) })
	_, err := p.Offers(ctx, runctl.OfferQuery{})
	assert.ErrorIs(t, err, context.Canceled, "who has gone is not told that prices are unknown")
	_, err = p.Offers(t.Context(), runctl.OfferQuery{})
	require.NoError(t, err)
	_, err = p.Offers(ctx, runctl.OfferQuery{})
	assert.ErrorIs(t, err, context.Canceled, "also where all is known")
}

func TestAQueryForWhatIsNotHereAsksForNothing(t *testing.T) {
	s, p := newStub(t)
	withCatalog(s)
	for _, q := range []runctl.OfferQuery{{Regions: []string{"us-east-1"}}, {Road: runctl.RoadJob}} {
		offers, err := p.Offers(t.Context(), q)
		require.NoError(t, err)
		assert.Empty(t, offers)
	}
	assert.Empty(t, s.calls)
	for _, q := range []runctl.OfferQuery{{Regions: []string{"us-east-1", "eu-west-1"}, VCPU: 2}, {Road: runctl.RoadJob | runctl.RoadShell}} {
		offers, err := p.Offers(t.Context(), q)
		require.NoError(t, err)
		assert.True(t, slices.ContainsFunc(offers, func(o runctl.Offer) bool { return o.Type == "c7g.large" }), "machines without GPUs too")
	}
	assert.Equal(t, "processor-info.supported-architecture", s.last("DescribeInstanceTypes").Get("Filter.1.Name"))
}

func TestAnOffersIDIsReadAsItIsWrittenOrNotAtAll(t *testing.T) {
	const good = "p5.48xlarge/eu-west-1b/spot/x86_64/nvidia"
	s, ok := parseShape(good)
	assert.True(t, ok)
	assert.Equal(t, shape{"p5.48xlarge", "eu-west-1b", runctl.Spot, "x86_64", true}, s)
	for _, bad := range []string{"", "p5/eu-west-1b/spot/x86_64", good + "/x", "p5//spot/x86_64/plain", "/eu-west-1b/spot/x86_64/plain", "p5/eu-west-1b/block/x86_64/plain",
		"p5/eu-west-1b//x86_64/plain", "p5/eu-west-1b/spot/i386/plain", "p5/eu-west-1b/spot/x86_64/amd", strings.Repeat("p", 200) + "/eu-west-1b/spot/x86_64/plain"} {
		_, ok := parseShape(bad)
		assert.False(t, ok, bad)
	}
}

func TestATypeThatCannotBeLaunchedHereIsNone(t *testing.T) {
	s, p := newStub(t)
	withCatalog(s)
	s.says("DescribeInstanceTypes", "<instanceTypeSet>"+typeXML("p6e.block", "x86_64", 8, 16384, "capacity-block", "")+typeXML("c7g/large", "arm64", 2, 4096, "on-demand", "")+
		typeXML("c7g.large", "arm64", 2, 4096, "on-demand", "")+typeXML("g9.slice", "x86_64", 2, 4096, "on-demand", gpuXML("NVIDIA", "L4", 0, 2861))+"</instanceTypeSet>")
	var places strings.Builder
	for _, at := range []string{"p6e.block eu-west-1a", "c7g/large eu-west-1a", "c7g.large eu-west-1a", "c7g.large eu-west-2a", "c7g.large eu-west-1", "g9.slice eu-west-1a"} {
		name, zone, _ := strings.Cut(at, " ")
		places.WriteString("<item><instanceType>" + name + "</instanceType><location>" + zone + "</location></item>")
	}
	s.says("DescribeInstanceTypeOfferings", "<instanceTypeOfferingSet>"+places.String()+"</instanceTypeOfferingSet>")
	offers, err := p.Offers(t.Context(), runctl.OfferQuery{})
	require.NoError(t, err)
	var ids []string
	for _, o := range offers {
		ids = append(ids, o.ID+" "+o.GPU.Model)
	}
	assert.Equal(t, []string{"c7g.large/eu-west-1a/on-demand/arm64/plain ", "g9.slice/eu-west-1a/on-demand/x86_64/nvidia PART-OF-L4"}, ids)
	good := s.answer["DescribeInstanceTypes"]
	for _, action := range []string{"DescribeInstanceTypes", "DescribeInstanceTypeOfferings"} {
		s.says(action, "<html>all is well</html>")
		p.types.clear()
		p.places.clear()
		_, err = p.Offers(t.Context(), runctl.OfferQuery{})
		assert.Error(t, err, "a page of a proxy's does not say that there are none")
		s.does("DescribeInstanceTypes", good)
	}
}

func TestCatalogAndSpotPricesAreReadToTheirLastPage(t *testing.T) {
	s, p := newStub(t)
	paged := func(action, set, first, second string) {
		s.does(action, func(v url.Values) (int, string) {
			if v.Get("NextToken") == "" {
				return 200, "<" + set + ">" + first + "</" + set + "><nextToken>2</nextToken>"
			}
			return 200, "<" + set + ">" + second + "</" + set + ">"
		})
	}
	offered := func(zone string) string {
		return "<item><instanceType>c7g.large</instanceType><location>" + zone + "</location></item>"
	}
	spot := func(zone, product, price, at string) string {
		return "<item><instanceType>c7g.large</instanceType><availabilityZone>" + zone + "</availabilityZone><productDescription>" + product + "</productDescription><spotPrice>" + price +
			"</spotPrice><timestamp>2026-11-02T0" + at + ":00:00Z</timestamp></item>"
	}
	paged("DescribeInstanceTypes", "instanceTypeSet", typeXML("c6g.large", "arm64", 2, 4096, "on-demand", ""), typeXML("c7g.large", "arm64", 2, 4096, "spot", ""))
	paged("DescribeInstanceTypeOfferings", "instanceTypeOfferingSet", offered("eu-west-1a"), offered("eu-west-1b")+offered("eu-west-1c"))
	paged("DescribeSpotPriceHistory", "spotPriceHistorySet", spot("eu-west-1a", linux, "0.03", "9")+spot("eu-west-1a", "Windows", "0.09", "9")+spot("eu-west-1a", linux, "0.02", "8"), spot("eu-west-1b", linux, "0.04", "9"))
	offers, err := p.Offers(t.Context(), runctl.OfferQuery{Market: runctl.Spot})
	require.NoError(t, err)
	assert.Equal(t, []string{"c7g.large/eu-west-1a/spot/arm64/plain - 2 4096 0.03 USD spot price history", "c7g.large/eu-west-1b/spot/arm64/plain - 2 4096 0.04 USD spot price history",
		"c7g.large/eu-west-1c/spot/arm64/plain - 2 4096 ? unknown: no history of spot prices here"}, lines(offers), "the newest of each zone, and of plain Linux")
	v := s.last("DescribeSpotPriceHistory")
	assert.NotEmpty(t, v.Get("StartTime"), "or it would be months")
	assert.Equal(t, "c7g.large", v.Get("InstanceType.1"))
	assert.Equal(t, []string{"CNY", "USD"}, []string{currencyOf("cn-north-1"), currencyOf("eu-west-1")})

	names := slices.Repeat([]string{"c7g.large"}, maxNamed+1)
	_, err = p.spot(t.Context(), names)
	require.NoError(t, err)
	assert.Empty(t, s.last("DescribeSpotPriceHistory").Get("InstanceType.1"), "of many, all are asked for")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = p.spot(ctx, []string{"c8g.large"})
	assert.ErrorIs(t, err, context.Canceled, "who has gone is not told that prices are unknown")
}
