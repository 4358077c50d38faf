//! Quality for money over a range of budgets.
//!
//! Owns AIQ as RouterBench defines it: `1 / (c_max - c_min)` times the integral of the non-decreasing hull of (cost, quality)
//! between the cheapest and the dearest single model.

/// The average quality over budgets between two costs, of a router seen at several settings. `None` when the range is empty or
/// no setting is affordable at its lower end.
#[must_use]
pub fn aiq(settings: &[(f64, f64)], least_cost: f64, most_cost: f64) -> Option<f64> {
    if most_cost <= least_cost || settings.iter().any(|(cost, quality)| cost.is_nan() || quality.is_nan()) {
        return None;
    }
    let hull = hull(settings);
    let at = |cost: f64| {
        let after = hull.partition_point(|point| point.0 <= cost);
        match (after.checked_sub(1).map(|before| hull[before]), hull.get(after)) {
            (None, _) => None,
            (Some(before), None) => Some(before.1),
            (Some(before), Some(next)) => {
                Some(before.1 + (next.1 - before.1) * (cost - before.0) / (next.0 - before.0))
            }
        }
    };
    let mut corners: Vec<f64> =
        hull.iter().map(|point| point.0).filter(|cost| (least_cost..most_cost).contains(cost)).collect();
    corners.insert(0, least_cost);
    corners.push(most_cost);
    let mut area = 0.0;
    for pair in corners.windows(2) {
        area += (pair[1] - pair[0]) * (at(pair[0])? + at(pair[1])?) / 2.0;
    }
    Some(area / (most_cost - least_cost))
}

/// The upper hull by rising cost, cut where quality would fall: mixing two settings by lot reaches every point between them,
/// and nobody must spend more for less.
fn hull(settings: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut points = settings.to_vec();
    points.sort_by(|one, other| one.0.total_cmp(&other.0).then(other.1.total_cmp(&one.1)));
    let mut hull: Vec<(f64, f64)> = Vec::new();
    for point in points {
        if hull.last().is_some_and(|last| point.1 <= last.1) {
            continue;
        }
        while let [.., before, last] = hull.as_slice() {
            let above =
                (last.1 - before.1) * (point.0 - before.0) > (point.1 - before.1) * (last.0 - before.0);
            if above {
                break;
            }
            hull.pop();
        }
        hull.push(point);
    }
    hull
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounded(settings: &[(f64, f64)], least: f64, most: f64) -> Option<f64> {
        aiq(settings, least, most).map(|figure| (figure * 1e9).round() / 1e9)
    }

    #[test]
    fn two_models_by_lot_make_a_straight_line() {
        assert_eq!(rounded(&[(1.0, 0.4), (3.0, 0.8)], 1.0, 3.0), Some(0.6));
    }

    #[test]
    fn settings_that_are_dearer_and_worse_do_not_count() {
        let settings = [(1.0, 0.4), (2.0, 0.8), (2.5, 0.1), (3.0, 0.8)];
        assert_eq!(rounded(&settings, 1.0, 3.0), Some(0.7));
    }

    #[test]
    fn an_empty_range_has_no_figure() {
        assert_eq!(aiq(&[(1.0, 0.4)], 1.0, 1.0), None);
        assert_eq!(aiq(&[(2.0, 0.4)], 1.0, 2.0), None);
        assert_eq!(aiq(&[(1.0, f64::NAN)], 1.0, 2.0), None);
    }
}
