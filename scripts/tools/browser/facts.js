// The facts of a page that Faults checks. The debugger evaluates this in the page,
// where the Content-Security-Policy does not apply.
(() => {
  const text = (e) => e.textContent.trim().replace(/\s+/g, " ");
  const shown = (e) => e.getClientRects().length > 0;
  const name = (e) =>
    e.getAttribute("aria-label") || [...(e.labels || [])].map(text).join(" ") || (["button", "a"].includes(e.localName) ? text(e) || [...e.querySelectorAll("img[alt]")].map((i) => i.alt).join(" ") : "");

  // Backgrounds from an element up to the first that lets nothing through.
  const grounds = (e) => {
    const all = [];
    for (let at = e; at; at = at.parentElement) all.push(getComputedStyle(at).backgroundColor);
    return all;
  };
  const writings = () => {
    const all = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walk.nextNode(); node; node = walk.nextNode()) {
      const e = node.parentElement;
      if (!node.data.trim() || !shown(e)) continue;
      const style = getComputedStyle(e);
      all.push({
        text: node.data.trim().slice(0, 40),
        ink: style.color,
        grounds: grounds(e),
        size: parseFloat(style.fontSize),
        weight: parseInt(style.fontWeight, 10),
      });
    }
    return all;
  };
  const controls = [...document.querySelectorAll("input:not([type=hidden]), select, textarea, button, a[href]")].filter(shown);

  return {
    lang: document.documentElement.lang,
    title: document.title,
    mode: document.compatMode,
    headings: [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].filter(shown).map((e) => Number(e.localName[1])),
    mains: document.querySelectorAll("main").length,
    ids: [...document.querySelectorAll("[id]")].map((e) => e.id),
    scripts: document.scripts.length,
    unnamed: [...document.querySelectorAll("img:not([alt]), svg:not([aria-hidden=true]):not([aria-label])")].map((e) => e.localName),
    controls: controls.map((e) => {
      const box = e.getBoundingClientRect();
      return { kind: e.localName, name: name(e), inline: getComputedStyle(e).display === "inline" || e.matches("p *"), width: box.width, height: box.height, edge: getComputedStyle(e).borderBottomColor, grounds: grounds(e.parentElement) };
    }),
    writings: writings(),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  };
})()
