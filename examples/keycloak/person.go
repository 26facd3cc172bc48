package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"

	"github.com/seed-1e292522/mcpauth/examples/internal/stories/tool"
)

var (
	formAction = regexp.MustCompile(`<form[^>]*\saction="([^"]+)"`)
	hidden     = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)
)

// visit goes through the pages of Keycloak as a person with a browser does: signs
// in, and presses Yes or No. It returns where Keycloak sends the browser back.
func visit(ctx context.Context, person *tool.Person, address string) (*url.URL, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	back := (*url.URL)(nil)
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), tool.RedirectURI+"?") {
			back = r.URL
			return http.ErrUseLastResponse
		}
		return nil
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	for range 4 { // the two pages, and what may be wrong with them
		if err != nil {
			return nil, err
		}
		response, sendErr := browser.Do(request)
		if sendErr != nil {
			return nil, sendErr
		}
		text, readErr := io.ReadAll(io.LimitReader(response.Body, 1<<20))
		_ = response.Body.Close()
		switch {
		case readErr != nil:
			return nil, readErr
		case back != nil:
			return back, nil
		case response.StatusCode != http.StatusOK:
			return nil, fmt.Errorf("Keycloak answers %s", response.Status)
		}
		request, err = fillIn(ctx, person, response.Request.URL, string(text))
	}
	return nil, errors.New("Keycloak does not send the browser back")
}

// fillIn is the request that the form of a page makes.
func fillIn(ctx context.Context, person *tool.Person, at *url.URL, page string) (*http.Request, error) {
	action := formAction.FindStringSubmatch(page)
	if action == nil {
		return nil, errors.New("a page without a form")
	}
	target, err := at.Parse(html.UnescapeString(action[1]))
	if err != nil {
		return nil, err
	}
	form := url.Values{}
	for _, input := range hidden.FindAllStringSubmatch(page, -1) {
		form.Set(input[1], html.UnescapeString(input[2]))
	}
	switch {
	case strings.Contains(page, `name="password"`):
		form.Set("username", person.Name)
		form.Set("password", person.Password)
	case person.Allows == nil:
		form.Set("accept", "Yes")
	default:
		form.Set("cancel", "No")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), strings.NewReader(form.Encode()))
	if err == nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return request, err
}
