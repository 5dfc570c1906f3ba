//! Why a host that slept is awake.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(windows, allow(dead_code, reason = "no event of Windows tells that a child has closed its end"))]
pub(super) enum Awake {
    /// The child has woken it, or nothing has.
    Maybe,
    /// The child has ended.
    Died,
    /// The child has closed its end.
    Closed,
}
