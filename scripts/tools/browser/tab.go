package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// patience bounds every single step; a step takes some 50 ms.
const patience = 30 * time.Second

// Tab is one tab, alone in its profile. It is for one goroutine.
type Tab struct {
	*trail
	ctx context.Context
}

// within runs one action, for patience at most.
func within[T any](t *Tab, what string, a chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	got, err := chromedp.Run(ctx, a)
	if err != nil {
		return got, fmt.Errorf("%s: %w", what, err)
	}
	return got, nil
}

// arrive runs an action that leads to another page, and waits for that page.
func (t *Tab) arrive(what string, a chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, a); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Open opens an address, as somebody does who types it in.
func (t *Tab) Open(address string) error { return t.arrive("open a page", chromedp.Navigate(address)) }

// Reload loads the page again.
func (t *Tab) Reload() error { return t.arrive("reload the page", chromedp.Reload()) }

// Back presses the browser's back button.
func (t *Tab) Back() error {
	_, err := within(t, "go back", chromedp.NavigateBack())
	return err
}

// Follow clicks what leads to another page, and waits for that.
func (t *Tab) Follow(selector string) error {
	return t.arrive("click "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// ClickTwice clicks, and once more after the server has answered and before the
// browser has seen that: what a double click comes to on a slow day. Two requests
// arrive, and the browser goes by the answer to the second. It waits until the
// next page shows another element.
func (t *Tab) ClickTwice(selector, until string) error {
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	answers := fetch.EnableParams{Patterns: []*fetch.RequestPattern{
		{ResourceType: network.ResourceTypeDocument, RequestStage: fetch.RequestStageResponse}}}
	if _, err := chromedp.Call(ctx, fetch.Enable, answers); err != nil {
		return fmt.Errorf("hold answers: %w", err)
	}
	x, y, err := place(ctx, selector)
	if err != nil {
		return err
	}
	for range 2 {
		click := chromedp.MouseClickXY(x, y) // by place: the page is no more asked while it is on its way out
		if _, err := chromedp.Run(ctx, chromedp.WaitEvent(fetch.RequestPaused, nil, click)); err != nil {
			return fmt.Errorf("click twice on %s: %w", selector, err)
		}
	}
	if _, err := chromedp.Call(ctx, fetch.Disable, cdp.Empty{}); err != nil {
		return fmt.Errorf("let answers go: %w", err)
	}
	_, err = within(t, "wait for "+until, chromedp.WaitVisible(chromedp.CSS(until)))
	return err
}

// place scrolls to an element and returns its middle, in points of the window.
func place(ctx context.Context, selector string) (x, y float64, err error) {
	if err := chromedp.Do(ctx, chromedp.ScrollIntoView(chromedp.CSS(selector))); err != nil {
		return 0, 0, fmt.Errorf("scroll to %s: %w", selector, err)
	}
	box, err := chromedp.Run(ctx, chromedp.Dimensions(chromedp.CSS(selector)))
	if err != nil {
		return 0, 0, fmt.Errorf("look for %s: %w", selector, err)
	}
	return (box.Content[0] + box.Content[4]) / 2, (box.Content[1] + box.Content[5]) / 2, nil
}

// maxTabs is more than any page here has things to press.
const maxTabs = 20

// FollowByKeyboard reaches an element by the tabulator alone, and presses Enter
// on it. The focus must be seen on the way: a browser draws it only where the
// page has not taken that away.
func (t *Tab) FollowByKeyboard(selector string) error {
	for range maxTabs {
		if _, err := within(t, "press Tab", chromedp.KeyEvent(kb.Tab)); err != nil {
			return err
		}
		focus, err := within(t, "look for the focus", chromedp.Evaluate[focused](fmt.Sprintf(`(() => {
			const at = document.activeElement, style = getComputedStyle(at);
			return {there: at.matches(%q), outline: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2};
		})()`, selector)))
		if err != nil {
			return err
		}
		if focus.There && !focus.Outline {
			return fmt.Errorf("the focus on %s cannot be seen", selector)
		}
		if focus.There {
			return t.arrive("press Enter on "+selector, chromedp.KeyEvent(kb.Enter))
		}
	}
	return fmt.Errorf("%s cannot be reached by the tabulator", selector)
}

// focused says of the element with the focus whether it is the wanted one, and
// whether an outline shows it.
type focused struct {
	There   bool `json:"there"`
	Outline bool `json:"outline"`
}

// Address is where the tab is.
func (t *Tab) Address() (string, error) { return within(t, "read the address", chromedp.Location()) }

// Text is the text of an element that must be there, spaces as they stand.
func (t *Tab) Text(selector string) (string, error) {
	return within(t, "read "+selector, chromedp.TextContent(chromedp.CSS(selector)))
}

// HTML is the whole page as the browser has it.
func (t *Tab) HTML() (string, error) {
	return within(t, "read the page", chromedp.OuterHTML(chromedp.CSS("html")))
}

// Cookies are the values of all cookies that the page's address would be sent.
func (t *Tab) Cookies() (values map[string]string, err error) {
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	got, err := chromedp.Call(ctx, network.GetCookies, network.GetCookiesParams{})
	if err != nil {
		return nil, fmt.Errorf("read the cookies: %w", err)
	}
	values = map[string]string{}
	for _, c := range got.Cookies {
		values[c.Name] = c.Value
	}
	return values, nil
}

// Screenshot keeps a picture of the whole page, below what the window shows too.
func (t *Tab) Screenshot(path string) error {
	picture, err := within(t, "take a screenshot", chromedp.FullScreenshot(100))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("keep a screenshot: %w", err)
	}
	return os.WriteFile(path, picture, 0o644)
}

// Hold clicks, and stops the browser before it opens an address that begins
// with prefix, as a window does that is closed at that moment. It returns the
// address.
func (t *Tab) Hold(selector, prefix string) (address string, err error) {
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	pattern := fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: prefix + "*"}}}
	if _, err := chromedp.Call(ctx, fetch.Enable, pattern); err != nil {
		return "", fmt.Errorf("hold requests: %w", err)
	}
	paused, err := chromedp.Run(ctx, chromedp.WaitEvent(fetch.RequestPaused, nil, chromedp.Click(chromedp.CSS(selector))))
	if err != nil {
		return "", fmt.Errorf("hold a request after a click on %s: %w", selector, err)
	}
	_, err1 := chromedp.Call(ctx, fetch.FailRequest, fetch.FailRequestParams{RequestID: paused.RequestID, ErrorReason: network.ErrorReasonAborted})
	_, err2 := chromedp.Call(ctx, fetch.Disable, cdp.Empty{})
	return paused.Request.URL, errors.Join(err1, err2)
}
