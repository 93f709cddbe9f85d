//! What series are called.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Symbol, Timeframe};
use crate::error::{Error, Result};
use crate::id::{check_text, shown, text_newtype};

text_newtype! {
    /// The name of a series that is neither bars nor ticks: `vix_daily`, `equity curve`. 1 to 80 bytes without control characters.
    ///
    /// ASCII case does not distinguish: the name is kept, compared and shown in lower case.
    SeriesName, |text| {
        check_text("series name", text, 80)?;
        Ok(text.to_ascii_lowercase().into())
    }
}

/// Which series: bars of a symbol and timeframe, ticks of a symbol, or a name of its own.
///
/// The text form is `SYMBOL@TIMEFRAME`, `SYMBOL@ticks` or `@name`.
///
/// ```
/// use minutebook_core::{SeriesId, Timeframe};
///
/// let bars = SeriesId::bars("btcusd".parse()?, Timeframe::HOUR);
/// assert_eq!(bars.to_string(), "BTCUSD@1h");
/// assert_eq!("BTCUSD@60m".parse::<SeriesId>()?, bars);
/// assert_eq!("BTCUSD@ticks".parse::<SeriesId>()?, SeriesId::ticks("BTCUSD".parse()?));
/// assert_eq!("@vix_daily".parse::<SeriesId>()?, SeriesId::named("vix_daily".parse()?));
/// # Ok::<(), minutebook_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SeriesId {
    /// Bars: one row for each span of the timeframe, stamped with its open.
    Bars {
        /// Of what.
        symbol: Symbol,
        /// The span of one bar.
        timeframe: Timeframe,
    },
    /// Ticks: events as they came, several at one instant allowed.
    Ticks {
        /// Of what.
        symbol: Symbol,
    },
    /// Any other series.
    Named {
        /// Its name.
        name: SeriesName,
    },
}

impl SeriesId {
    /// Bars of a symbol.
    pub fn bars(symbol: Symbol, timeframe: Timeframe) -> Self {
        Self::Bars { symbol, timeframe }
    }

    /// Ticks of a symbol.
    pub fn ticks(symbol: Symbol) -> Self {
        Self::Ticks { symbol }
    }

    /// A series with a name of its own.
    pub fn named(name: SeriesName) -> Self {
        Self::Named { name }
    }

    /// Of what it is, unless it only has a name.
    pub fn symbol(&self) -> Option<&Symbol> {
        match self {
            Self::Bars { symbol, .. } | Self::Ticks { symbol } => Some(symbol),
            Self::Named { .. } => None,
        }
    }

    /// The span of one bar, if it is a series of bars.
    pub fn timeframe(&self) -> Option<Timeframe> {
        match self {
            Self::Bars { timeframe, .. } => Some(*timeframe),
            Self::Ticks { .. } | Self::Named { .. } => None,
        }
    }
}

impl fmt::Display for SeriesId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bars { symbol, timeframe } => f.pad(&format!("{symbol}@{timeframe}")),
            Self::Ticks { symbol } => f.pad(&format!("{symbol}@ticks")),
            Self::Named { name } => f.pad(&format!("@{name}")),
        }
    }
}

impl FromStr for SeriesId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(name) = text.strip_prefix('@') {
            return Ok(Self::named(name.parse()?));
        }
        match text.rsplit_once('@') {
            Some((symbol, "ticks")) => Ok(Self::ticks(symbol.parse()?)),
            Some((symbol, timeframe)) => Ok(Self::bars(symbol.parse()?, timeframe.parse()?)),
            None => Err(Error::invalid(
                "not a series; write SYMBOL@TIMEFRAME, SYMBOL@ticks or @name",
            )
            .with_resource(shown(text))),
        }
    }
}

impl TryFrom<String> for SeriesId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<SeriesId> for String {
    fn from(id: SeriesId) -> Self {
        id.to_string()
    }
}

/// Which series: conditions that all must hold. The default holds for every series.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SeriesFilter {
    /// Of this symbol.
    pub symbol: Option<Symbol>,
    /// Bars of this timeframe.
    pub timeframe: Option<Timeframe>,
    /// Whose text form begins so.
    pub prefix: Option<String>,
}

impl SeriesFilter {
    /// Every series.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of this symbol only.
    #[must_use]
    pub fn symbol(mut self, symbol: Symbol) -> Self {
        self.symbol = Some(symbol);
        self
    }

    /// Bars of this timeframe only.
    #[must_use]
    pub fn timeframe(mut self, timeframe: Timeframe) -> Self {
        self.timeframe = Some(timeframe);
        self
    }

    /// Those whose text form begins so only.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Whether all conditions hold.
    pub fn matches(&self, series: &SeriesId) -> bool {
        self.symbol
            .as_ref()
            .is_none_or(|wanted| series.symbol() == Some(wanted))
            && self
                .timeframe
                .is_none_or(|wanted| series.timeframe() == Some(wanted))
            && self
                .prefix
                .as_ref()
                .is_none_or(|prefix| series.to_string().starts_with(prefix.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms_round_trip_and_do_not_mix() {
        for text in ["BTC/USD@1h", "A@B@ticks", "@vix daily", "@a@1h", "X@1mo"] {
            assert_eq!(text.parse::<SeriesId>().unwrap().to_string(), text);
        }
        for text in ["BTCUSD", "@", "", "@ x", "BTCUSD@soon"] {
            assert!(text.parse::<SeriesId>().is_err(), "{text}");
        }
    }

    #[test]
    fn filters_combine() {
        let hour: SeriesId = "BTCUSD@1h".parse().unwrap();
        let filter = SeriesFilter::new().symbol("btcusd".parse().unwrap());
        assert!(filter.matches(&hour));
        assert!(filter.clone().timeframe(Timeframe::HOUR).matches(&hour));
        assert!(!filter.clone().timeframe(Timeframe::DAY).matches(&hour));
        assert!(!filter.prefix("ETH").matches(&hour));
    }
}
