// Package browser drives headless Chromium through the service's pages and checks
// them: accessibility (contrast, labels, screenshots) and security (what was
// requested from where, what the Content-Security-Policy blocked, which secrets a
// page holds).
//
// It is a module of its own, which keeps the driver out of the service's go.mod.
package browser

import (
	"context"
	"errors"
	"fmt"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// Browser is a running Chromium. It is safe for concurrent use.
type Browser struct{ ctx context.Context }

// Start starts the program with a new, empty profile. It ends with ctx, or when end
// is called. It reaches loopback only.
func Start(ctx context.Context, program string) (b *Browser, end func(), err error) {
	allocator, endAllocator := chromedp.NewExecAllocator(ctx, chromedp.ExecPath(program), chromedp.Headless,
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("force-color-profile", "srgb"),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"))
	own, endBrowser := chromedp.NewContext(allocator)
	end = func() { endBrowser(); endAllocator() }
	if err := chromedp.Do(own); err != nil {
		end()
		return nil, nil, fmt.Errorf("start %s: %w", program, err)
	}
	return &Browser{ctx: own}, end, nil
}

// Looks is how a profile shows pages.
type Looks struct {
	// Phone is 360 points wide, instead of a desktop's 1280.
	Phone bool
	// Dark prefers dark colours.
	Dark bool
	// NoScript runs no script of any page.
	NoScript bool
}

// Profile opens a tab in a profile of its own, with its own cookies. It ends with
// the browser, or when end is called.
func (b *Browser) Profile(l Looks) (t *Tab, end func(), err error) {
	t = &Tab{trail: new(trail)}
	t.ctx, end = chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(t.trail.note))
	if err := chromedp.Do(t.ctx, l.steps()...); err != nil {
		end()
		return nil, nil, fmt.Errorf("open a tab: %w", err)
	}
	return t, end, nil
}

func (l Looks) steps() []chromedp.Action[chromedp.Void] {
	scheme, size := "light", chromedp.EmulateViewport(1280, 800)
	if l.Dark {
		scheme = "dark"
	}
	if l.Phone {
		size = chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile, chromedp.EmulateScale(2))
	}
	return []chromedp.Action[chromedp.Void]{
		chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			_, err1 := cdp.Call(ctx, t, network.Enable, network.EnableParams{})
			_, err2 := cdp.Call(ctx, t, log.Enable, cdp.Empty{})
			_, err3 := cdp.Call(ctx, t, audits.Enable, cdp.Empty{})
			_, err4 := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: l.NoScript})
			_, err5 := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
			return errors.Join(err1, err2, err3, err4, err5)
		}),
		size,
	}
}
