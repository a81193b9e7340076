//! The content of the messages.

use crate::spec::Content;

/// Eight scripts, with characters of one to four bytes.
const MIXED: &str = "Grüße aus Zürich, où les façades sont dorées. Καλημέρα κόσμε, τι κάνεις; Съешь же ещё этих мягких \
французских булок. שלום עולם, מה שלומך היום? नमस्ते दुनिया, आप कैसे हैं? 今日は天気がとても良いですね。\
千里之行，始于足下。안녕하세요 세계 여러분. 🚀🌍👩‍💻🎉 ";

/// Pseudorandom numbers, which are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next()).unwrap_or(0) % limit
    }
}

/// Returns message number `index`, which has exactly `size` bytes.
pub(super) fn message(content: Content, size: usize, index: usize) -> Vec<u8> {
    let mut numbers = Numbers(index as u64 + 1);
    match content {
        Content::Binary => (0..size).map(|_| numbers.next().to_le_bytes()[0]).collect(),
        Content::Ascii => (0..size).map(|_| b' ' + (numbers.next() % 95).to_le_bytes()[0]).collect(),
        Content::Mixed => {
            let start = numbers.below(MIXED.chars().count());
            let text = MIXED.chars().cycle().skip(start);
            fitting(size, text)
        }
        Content::Json => json(size, &mut numbers),
    }
}

/// Takes characters as long as they fit, and fills the rest with spaces.
fn fitting(size: usize, text: impl Iterator<Item = char>) -> Vec<u8> {
    let (mut bytes, mut four) = (Vec::with_capacity(size), [0; 4]);
    for character in text {
        let encoded = character.encode_utf8(&mut four).as_bytes();
        if bytes.len() + encoded.len() > size {
            break;
        }
        bytes.extend_from_slice(encoded);
    }
    bytes.resize(size, b' ');
    bytes
}

/// Returns a list of orders that is truncated to `size` bytes. Only its compression ratio matters.
fn json(size: usize, numbers: &mut Numbers) -> Vec<u8> {
    const NAMES: [&str; 8] = ["Ada", "Grace", "Edsger", "Barbara", "Donald", "Radia", "Alan", "Frances"];
    const STATES: [&str; 4] = ["open", "paid", "shipped", "returned"];
    let mut text = String::from("{\"orders\":[");
    while text.len() < size {
        let (id, price, lines) = (numbers.next(), numbers.next() % 100_000, numbers.next() % 9);
        let (name, state) = (NAMES[numbers.below(NAMES.len())], STATES[numbers.below(STATES.len())]);
        text.push_str(&format!(
            "{{\"id\":\"{id:08x}\",\"customer\":{{\"name\":\"{name}\",\"tier\":{}}},\"state\":\"{state}\",\"lines\":{lines},\
             \"total\":{}.{:02},\"currency\":\"EUR\",\"created_at\":\"2026-0{}-{:02}T{:02}:{:02}:00Z\"}},",
            id % 4, price / 100, price % 100, id % 9 + 1, id % 28 + 1, id % 24, price % 60
        ));
    }
    text.truncate(size);
    text.into_bytes()
}
