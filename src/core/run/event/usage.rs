//! How much of the engine's machine is in use.

use serde::{Deserialize, Serialize};

/// What was in use over the seconds before. Memory in GiB, loads in per cent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// The GPU that the engine computes on; none on the CPU, and where NVIDIA's management library is
    /// missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<GpuUsage>,
    pub host: HostUsage,
}

/// Of all programs together; none of what the GPU does not report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct GpuUsage {
    pub used_gib: Option<f64>,
    pub total_gib: Option<f64>,
    /// The share of the time in which it computed.
    pub load: Option<f64>,
    /// In degrees Celsius.
    pub temperature: Option<f64>,
}

/// Of all programs together; none of what the system does not report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct HostUsage {
    pub used_gib: Option<f64>,
    /// All memory, or the limit of the engine's control group where that is less.
    pub total_gib: Option<f64>,
    /// Of the processors that the engine may use.
    pub load: Option<f64>,
    /// How often the system had ended programs for lack of memory by then; none where it does not
    /// count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom_kills: Option<u64>,
}

/// Bytes in GiB, with two decimals.
#[must_use]
pub fn gib(bytes: u64) -> f64 {
    (bytes as f64 / (1u64 << 30) as f64 * 100.).round() / 100.
}

impl Usage {
    /// One record of several readings in a row: the most memory, the mean load, the latest
    /// temperature; none of no reading.
    #[must_use]
    pub fn over(readings: &[Self]) -> Option<Self> {
        let latest = readings.last()?;
        let of_gpu = |get: fn(&GpuUsage) -> Option<f64>| {
            let readings = readings.iter().filter_map(|r| r.gpu.as_ref());
            readings.filter_map(get).collect::<Vec<f64>>()
        };
        let of_host = |get: fn(&HostUsage) -> Option<f64>| {
            let readings = readings.iter().map(|r| &r.host);
            readings.filter_map(get).collect::<Vec<f64>>()
        };
        Some(Self {
            gpu: latest.gpu.map(|gpu| GpuUsage {
                used_gib: most(&of_gpu(|g| g.used_gib)),
                load: mean(&of_gpu(|g| g.load)),
                ..gpu
            }),
            host: HostUsage {
                used_gib: most(&of_host(|h| h.used_gib)),
                load: mean(&of_host(|h| h.load)),
                ..latest.host
            },
        })
    }
}

fn most(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(f64::max)
}

/// With one decimal.
fn mean(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().sum();
    (!values.is_empty()).then(|| (sum / values.len() as f64 * 10.).round() / 10.)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(used: f64, load: f64, temperature: f64) -> Usage {
        Usage {
            gpu: Some(GpuUsage {
                used_gib: Some(used),
                total_gib: Some(80.),
                load: Some(load),
                temperature: Some(temperature),
            }),
            host: HostUsage {
                used_gib: Some(used),
                total_gib: Some(128.),
                load: Some(load),
                oom_kills: Some(used as u64),
            },
        }
    }

    #[test]
    fn bytes_are_rounded_to_hundredths_of_a_gib() {
        assert_eq!(gib(85_520_809_984), 79.65);
    }

    #[test]
    fn several_readings_become_one() {
        let readings = [
            reading(20., 100., 60.),
            reading(30., 0., 62.),
            reading(10., 50.2, 61.),
        ];
        let mut expected = reading(30., 50.1, 61.);
        expected.host.oom_kills = Some(10);
        assert_eq!(Usage::over(&readings), Some(expected));
        assert_eq!(Usage::over(&[]), None);
        // what is not reported stays unknown
        let unknown = Usage {
            gpu: None,
            host: HostUsage::default(),
        };
        assert_eq!(Usage::over(&[unknown, unknown]), Some(unknown));
    }
}
