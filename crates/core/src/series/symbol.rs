//! The name of what is traded.

use crate::error::Error;
use crate::id::{check_text, shown, text_newtype};

text_newtype! {
    /// An instrument or pair: `BTCUSD`, `BTC/USD`, `BRK.B`, `CDX.NA.IG`. 1 to 80 bytes without control characters,
    /// and no `@` at the start, which marks the name of a series.
    ///
    /// ASCII case does not distinguish: the symbol is kept, compared and shown in upper case. Every other difference counts.
    ///
    /// ```
    /// use minutebook_core::Symbol;
    ///
    /// assert_eq!(Symbol::new("btcusd")?, Symbol::new("BTCUSD")?);
    /// assert_ne!(Symbol::new("BTC/USD")?, Symbol::new("BTC-USD")?);
    /// # Ok::<(), minutebook_core::Error>(())
    /// ```
    Symbol, |text| {
        check_text("symbol", text, 80)?;
        if text.starts_with('@') {
            return Err(Error::invalid("a symbol does not begin with \"@\": that marks a series name")
                .with_resource(shown(text)));
        }
        Ok(text.to_ascii_uppercase().into())
    }
}
