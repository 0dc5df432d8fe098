package browser

import (
	"fmt"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Press clicks an element that changes the page by a script, and waits until another
// element is visible.
func (t *Tab) Press(selector, until string) error {
	if _, err := within(t, "click "+selector, chromedp.Click(chromedp.CSS(selector))); err != nil {
		return err
	}
	return t.Shows(until)
}

// Shows waits until an element is visible.
func (t *Tab) Shows(selector string) error {
	_, err := within(t, "wait for "+selector, chromedp.WaitVisible(chromedp.CSS(selector)))
	return err
}

// Fill types text into an input.
func (t *Tab) Fill(selector, text string) error {
	_, err := within(t, "fill "+selector, chromedp.SendKeys(chromedp.CSS(selector), text))
	return err
}

// PressEnter presses Enter on what has the focus, and waits until an element is
// visible.
func (t *Tab) PressEnter(until string) error {
	if _, err := within(t, "press Enter", chromedp.KeyEvent(kb.Enter)); err != nil {
		return err
	}
	return t.Shows(until)
}

// Attribute is the value of an element's attribute. The element must exist.
func (t *Tab) Attribute(selector, name string) (string, error) {
	return within(t, "read "+name+" of "+selector,
		chromedp.Evaluate[string](fmt.Sprintf("document.querySelector(%q).getAttribute(%q)", selector, name)))
}
