package authservers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/html"
)

// Browser is a person with a browser: it follows redirects, keeps cookies,
// fills in the one form of a page and presses one of its buttons.
type Browser struct {
	Person string // who signs in
	Deny   bool   // whether consent is refused
	Later  bool   // with Deny: not the first time

	client   *http.Client
	mu       sync.Mutex // a person does one thing after the other
	consents int
}

// NewBrowser returns a browser without cookies.
func NewBrowser(person string, deny bool) *Browser {
	jar, _ := cookiejar.New(nil) // fails never, says its documentation
	return &Browser{Person: person, Deny: deny, client: &http.Client{
		Jar:           jar,
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Walk opens an authorization URL and goes on until the server sends the
// browser back to the redirect URI that the URL names. It returns that last
// URL, with code or error, without opening it.
func (b *Browser) Walk(ctx context.Context, authorization string) (*url.URL, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	start, err := url.Parse(authorization)
	if err != nil {
		return nil, errors.New("the authorization URL cannot be parsed")
	}
	back := start.Query().Get("redirect_uri")
	if back == "" {
		return nil, errors.New("the authorization URL has no redirect_uri")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, authorization, nil)
	if err != nil {
		return nil, err
	}
	for range 20 {
		page, next, err := b.open(request)
		if err != nil {
			return nil, err
		}
		if next != nil {
			if target := next.String(); target == back || strings.HasPrefix(target, back+"?") {
				return next, nil
			}
			if request, err = http.NewRequestWithContext(ctx, http.MethodGet, next.String(), nil); err != nil {
				return nil, err
			}
			continue
		}
		if request, err = b.submit(ctx, request.URL, page); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("no way back to the client after 20 pages")
}

// open returns the page, or where it redirects to.
func (b *Browser) open(request *http.Request) (*html.Node, *url.URL, error) {
	response, err := b.client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	if response.StatusCode/100 == 3 {
		next, err := response.Location()
		return nil, next, err
	}
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 400))
		return nil, nil, fmt.Errorf("%s answered %d: %q", request.URL.Path, response.StatusCode, text)
	}
	page, err := html.Parse(io.LimitReader(response.Body, 1<<20))
	return page, nil, err
}

// submit fills in the form of a page: the fields for the person's name and
// password with the person, hidden fields as they are. If there are buttons,
// "decision" is approve or deny, or one of "accept" and "cancel" is pressed.
func (b *Browser) submit(ctx context.Context, at *url.URL, page *html.Node) (*http.Request, error) {
	form := find(page, "form")
	if form == nil {
		return nil, fmt.Errorf("%s shows a page without a form", at.Path)
	}
	decision := "approve"
	if b.Deny && (!b.Later || b.consents > 0) {
		decision = "deny"
	}
	values := url.Values{}
	for node := range form.Descendants() {
		name := attribute(node, "name")
		switch {
		case name == "" || node.Data != "input" && node.Data != "button":
		case name == "name", name == "username", name == "password":
			values.Set(name, b.Person)
		case name == "accept" && decision == "deny", name == "cancel" && decision == "approve": // the button that is not pressed
		case name == "decision":
			values.Set(name, decision)
		default:
			values.Set(name, attribute(node, "value"))
		}
	}
	if values.Has("decision") || values.Has("accept") || values.Has("cancel") {
		b.consents++
	}
	action, err := at.Parse(attribute(form, "action"))
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, action.String(), strings.NewReader(values.Encode()))
	if err == nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return request, err
}

func find(node *html.Node, element string) *html.Node {
	for n := range node.Descendants() {
		if n.Type == html.ElementNode && n.Data == element {
			return n
		}
	}
	return nil
}

func attribute(node *html.Node, name string) string {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
