package browser

import (
	"bytes"
	"context"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
)

// What a person does at the pages of the authorization server.
type choice string

const (
	signInAndApprove choice = "signs in and approves"
	signInAndDeny    choice = "signs in and denies"
	leave            choice = "leaves without signing in"
	approve          choice = "approves" // signed in already
	deny             choice = "denies"
)

// The pages of oidc-provider, by what only they have.
const (
	signInPage  = `input[name="login"]`
	consentPage = `input[name="prompt"][value="consent"]`
	submit      = `button[type="submit"]`
	cancel      = `.login-help a`
	returned    = `#returned`
)

// person is somebody with a browser of their own. Where the authorization
// server sends them back to, the client listens.
type person struct {
	t        *testing.T
	browser  context.Context
	callback *httptest.Server
	answers  chan url.Values
	consents []string // what the consent pages said
}

// newPerson starts a browser with an empty profile.
func newPerson(t *testing.T) *person {
	t.Helper()
	path, err := chromium()
	need(t, err, "Chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.WindowSize(800, 700),
		// The pages name fonts on the web. Nothing leaves this machine.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
		chromedp.Flag("no-proxy-server", true),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium's sandbox does not start for root
	}
	allocator, cancelAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancelAllocator)
	browser, cancelBrowser := chromedp.NewContext(allocator)
	t.Cleanup(cancelBrowser)
	need(t, chromedp.Do(browser), "a browser that starts")

	p := &person{t: t, browser: browser, answers: make(chan url.Values, 1)}
	p.callback = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/callback" {
			http.NotFound(w, r) // the icon
			return
		}
		p.answers <- r.URL.Query()
		_, _ = w.Write([]byte(`<p id="returned">You may close this window.</p>`))
	}))
	t.Cleanup(p.callback.Close)
	return p
}

func (p *person) redirectURL() string { return p.callback.URL + "/callback" }

// visit opens the authorization page, does what was chosen and returns what
// the client was sent. Every page is photographed on the way.
func (p *person) visit(address, name string, c choice) (url.Values, error) {
	patience, cancelPatience := context.WithTimeout(p.browser, 30*time.Second)
	defer cancelPatience()
	if err := p.act(patience, address, name, c); err != nil {
		return nil, err
	}
	return <-p.answers, nil
}

func (p *person) act(ctx context.Context, address, name string, c choice) error {
	if err := chromedp.Do(ctx, chromedp.Navigate(address)); err != nil {
		return err
	}
	if c == leave || c == signInAndApprove || c == signInAndDeny {
		if err := p.photograph(ctx, signInPage, name+"-sign-in"); err != nil {
			return err
		}
	}
	if c == leave {
		return chromedp.Do(ctx, chromedp.Click(cancel), chromedp.WaitVisible(returned))
	}
	if c == signInAndApprove || c == signInAndDeny {
		err := chromedp.Do(ctx, chromedp.SendKeys(signInPage, "alice"), chromedp.SendKeys(`input[name="password"]`, "any"), chromedp.Click(submit))
		if err != nil {
			return err
		}
	}
	if err := p.photograph(ctx, consentPage, name+"-consent"); err != nil {
		return err
	}
	said, err := chromedp.Run(ctx, chromedp.Text(".login-card"))
	if err != nil {
		return err
	}
	p.consents = append(p.consents, said)
	button := submit
	if c == deny || c == signInAndDeny {
		button = cancel
	}
	return chromedp.Do(ctx, chromedp.Click(button), chromedp.WaitVisible(returned))
}

// photograph waits for a page, keeps a picture of it in artifacts, and fails
// the test if nothing is on it.
func (p *person) photograph(ctx context.Context, page, name string) error {
	if err := chromedp.Do(ctx, chromedp.WaitReady(page), chromedp.WaitVisible(submit)); err != nil {
		return err
	}
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		return err
	}
	if err := os.MkdirAll("artifacts", 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join("artifacts", name+".png"), picture, 0o644); err != nil {
		return err
	}
	colours, err := coloursOf(picture)
	if err != nil {
		return err
	}
	assert.Greater(p.t, len(colours), 16, "%s: text has many shades", name)
	assert.Contains(p.t, colours, buttonColour, "%s: the colour of the button", name)
	return nil
}

// buttonColour is #4d90fe, as the style of the pages has it.
var buttonColour = color.RGBA{0x4d, 0x90, 0xfe, 0xff}

func coloursOf(picture []byte) (map[color.RGBA]bool, error) {
	decoded, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, err
	}
	bounds := decoded.Bounds()
	found := map[color.RGBA]bool{}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			found[color.RGBAModel.Convert(decoded.At(x, y)).(color.RGBA)] = true
		}
	}
	return found, nil
}
