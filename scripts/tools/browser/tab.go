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

// stepTimeout bounds each step. A step takes about 50 ms.
const stepTimeout = 30 * time.Second

// Tab is one tab, alone in its profile. It is for one goroutine.
type Tab struct {
	*trail
	ctx context.Context
}

// within runs one action, at most for stepTimeout.
func within[T any](t *Tab, what string, a chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(t.ctx, stepTimeout)
	defer cancel()
	got, err := chromedp.Run(ctx, a)
	if err != nil {
		return got, fmt.Errorf("%s: %w", what, err)
	}
	return got, nil
}

// arrive runs an action that leads to another page, and waits for that page.
func (t *Tab) arrive(what string, a chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(t.ctx, stepTimeout)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, a); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Open opens an address, as if it was typed in.
func (t *Tab) Open(address string) error { return t.arrive("open a page", chromedp.Navigate(address)) }

// Reload loads the page again.
func (t *Tab) Reload() error { return t.arrive("reload the page", chromedp.Reload()) }

// Back presses the browser's back button.
func (t *Tab) Back() error {
	_, err := within(t, "go back", chromedp.NavigateBack())
	return err
}

// Follow clicks an element that leads to another page, and waits for that page.
func (t *Tab) Follow(selector string) error {
	return t.arrive("click "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// ClickTwice clicks, and clicks again after the server has answered and before the
// browser gets the answer, as a double click over a slow network does. Two requests
// arrive, and the browser uses the answer to the second. It waits until the next
// page shows another element.
func (t *Tab) ClickTwice(selector, until string) error {
	ctx, cancel := context.WithTimeout(t.ctx, stepTimeout)
	defer cancel()
	answers := fetch.EnableParams{Patterns: []*fetch.RequestPattern{
		{ResourceType: network.ResourceTypeDocument, RequestStage: fetch.RequestStageResponse}}}
	if _, err := chromedp.Call(ctx, fetch.Enable, answers); err != nil {
		return fmt.Errorf("hold answers: %w", err)
	}
	x, y, err := position(ctx, selector)
	if err != nil {
		return err
	}
	for range 2 {
		click := chromedp.MouseClickXY(x, y) // by position: a page that is being left answers no query
		if _, err := chromedp.Run(ctx, chromedp.WaitEvent(fetch.RequestPaused, nil, click)); err != nil {
			return fmt.Errorf("click twice on %s: %w", selector, err)
		}
	}
	if _, err := chromedp.Call(ctx, fetch.Disable, cdp.Empty{}); err != nil {
		return fmt.Errorf("release answers: %w", err)
	}
	_, err = within(t, "wait for "+until, chromedp.WaitVisible(chromedp.CSS(until)))
	return err
}

// position scrolls to an element and returns its middle, in points of the window.
func position(ctx context.Context, selector string) (x, y float64, err error) {
	if err := chromedp.Do(ctx, chromedp.ScrollIntoView(chromedp.CSS(selector))); err != nil {
		return 0, 0, fmt.Errorf("scroll to %s: %w", selector, err)
	}
	box, err := chromedp.Run(ctx, chromedp.Dimensions(chromedp.CSS(selector)))
	if err != nil {
		return 0, 0, fmt.Errorf("look for %s: %w", selector, err)
	}
	return (box.Content[0] + box.Content[4]) / 2, (box.Content[1] + box.Content[5]) / 2, nil
}

// maxTabs is more than any page here has controls.
const maxTabs = 20

// FollowByKeyboard reaches an element with the Tab key alone, presses Enter on it,
// and waits for the next page.
func (t *Tab) FollowByKeyboard(selector string) error {
	if err := t.FocusByKeyboard(selector); err != nil {
		return err
	}
	return t.arrive("press Enter on "+selector, chromedp.KeyEvent(kb.Enter))
}

// FocusByKeyboard reaches an element with the Tab key alone. The focus must be
// visible: a page may have removed its outline.
func (t *Tab) FocusByKeyboard(selector string) error {
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
			return nil
		}
	}
	return fmt.Errorf("%s cannot be reached with the Tab key", selector)
}

// focused reports whether the element with the focus is the one sought, and whether
// an outline shows it.
type focused struct {
	There   bool `json:"there"`
	Outline bool `json:"outline"`
}

// Address is where the tab is.
func (t *Tab) Address() (string, error) { return within(t, "read the address", chromedp.Location()) }

// Text is the text of an element, with its spaces. The element must exist.
func (t *Tab) Text(selector string) (string, error) {
	return within(t, "read "+selector, chromedp.TextContent(chromedp.CSS(selector)))
}

// HTML is the whole page.
func (t *Tab) HTML() (string, error) {
	return within(t, "read the page", chromedp.OuterHTML(chromedp.CSS("html")))
}

// Cookies are the cookies that the browser sends to the page's address.
func (t *Tab) Cookies() (values map[string]string, err error) {
	ctx, cancel := context.WithTimeout(t.ctx, stepTimeout)
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

// Screenshot writes a picture of the whole page.
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

// Hold clicks, and stops the browser before it opens an address that begins with
// prefix, as if the window were closed at that moment. It returns the address.
func (t *Tab) Hold(selector, prefix string) (address string, err error) {
	ctx, cancel := context.WithTimeout(t.ctx, stepTimeout)
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
