// What a browser makes of the page: its size, the contrast of each text with what is behind it, and its tables.
(() => {
    const channels = (color) => color.match(/[\d.]+/g).map(Number);
    const luminance = ([r, g, b]) => {
        const linear = [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    };
    const contrast = (a, b) => {
        const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
        return (x + 0.05) / (y + 0.05);
    };
    const ground = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const color = channels(getComputedStyle(at).backgroundColor);
            if (color.length < 4 || color[3] === 1) return color;
        }
        return [255, 255, 255];
    };
    const shown = (element) => element.getClientRects().length > 0 && !element.closest("thead, svg, script, style, title");
    const texts = [];
    const all = [...document.body.querySelectorAll("*")];
    for (const element of all.filter(shown)) {
        const own = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.data).join("").trim();
        const before = getComputedStyle(element, "::before");
        if (own) texts.push([own, channels(getComputedStyle(element).color), ground(element)]);
        if (before.content !== "none" && before.content !== "normal") texts.push([before.content, channels(before.color), ground(element)]);
    }
    const heads = [...document.querySelectorAll("thead")].filter((head) => head.getBoundingClientRect().height > 2);
    for (const head of heads.flatMap((head) => [...head.querySelectorAll("th")])) {
        texts.push([head.innerText, channels(getComputedStyle(head).color), ground(head)]);
    }
    const lines = [...document.querySelectorAll("figure path:not(.grid)")];
    const width = document.documentElement.clientWidth;
    return {
        texts: texts.length,
        faint: texts.filter(([, color, behind]) => contrast(color, behind) < 4.5).map(String),
        faintLines: lines.filter((line) => contrast(channels(getComputedStyle(line).stroke), ground(line)) < 3).map((line) => line.outerHTML),
        lines: lines.length,
        width,
        scrollWidth: document.documentElement.scrollWidth,
        wide: all.filter((element) => shown(element) && element.getBoundingClientRect().right > width + 0.5).map((element) => element.outerHTML),
        cut: all.filter((element) => shown(element) && element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).overflow !== "visible").length,
        dark: luminance(ground(document.body)) < 0.2,
        stacked: getComputedStyle(document.querySelector("tbody td")).display !== "table-cell",
        unnamed: [...document.querySelectorAll("[role=img]:not([aria-label]), th:not([scope]), table:not(:has(caption))")].length,
        text: document.body.innerText,
        scripts: document.scripts.length,
        styled: getComputedStyle(document.querySelector("h1")).marginTop === "0px",
    };
})()
