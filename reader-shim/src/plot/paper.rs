//! What may stand in an SVG, and how much room a text takes there.

/// A tenth of a pixel is more than anybody sees.
pub(super) fn round(number: f64) -> f64 {
    let rounded = (number * 10.0).round() / 10.0;
    // There is no -0 here.
    if rounded == 0.0 { 0.0 } else { rounded }
}

/// About how wide a text is, rather too much than too little: nobody knows the font.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let ems = text.chars().map(|c| match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | ' ' | '[' | ']' | '(' | ')' => 0.38,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.95,
        'A'..='Z' => 0.7,
        '\0'..='\u{24f}' => 0.6,
        _ => 1.05,
    });
    ems.sum::<f64>() * size
}

/// The text, its end left away if it is wider than `room`.
pub(super) fn cut(text: &str, room: f64, size: f64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        kept.push(c);
        if width(&kept, size) + size > room {
            kept.pop();
            break;
        }
    }
    kept + "…"
}

/// As text between tags. Hidden characters are escaped already; two others cannot stand in XML at all.
pub(super) fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Each text of the picture, and its left, upper, right and lower edge.
#[cfg(test)]
pub(super) fn text_boxes(svg: &str) -> Vec<(String, [f64; 4])> {
    let boxes = svg.lines().filter_map(|line| {
        let (attributes, text) = line.strip_prefix("<text ")?.strip_suffix("</text>")?.split_once('>')?;
        let of = |name: &str| Some(attributes.split_once(&format!("{name}=\""))?.1.split_once('"')?.0);
        let number = |name: &str| of(name)?.parse::<f64>().ok();
        let size = number("font-size").unwrap_or(12.0);
        let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
        let (x, y, wide) = (number("x")?, number("y")?, width(&text, size));
        let left = match of("text-anchor") {
            Some("middle") => x - wide / 2.0,
            Some("end") => x - wide,
            _ => x,
        };
        Some((text, [left, y - size * 0.8, left + wide, y + size * 0.2]))
    });
    boxes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_end_its_element_or_be_too_wide() {
        assert_eq!(xml("a</text><script>\"&\u{ffff}"), "a&lt;/text&gt;&lt;script&gt;&quot;&amp;\u{fffd}");
        for text in ["", "short", "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww", "日本語日本語日本語日本語日本語日本語"]
        {
            let cut = cut(text, 150.0, 12.0);
            assert!(width(&cut, 12.0) <= 151.0 && (cut == text || cut.ends_with('…')), "{cut}");
        }
    }
}
