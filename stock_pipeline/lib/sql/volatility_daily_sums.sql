,
        sum(r) OVER w_{n} AS r_{n}, sum(r * r) OVER w_{n} AS r2_{n},
        sum(o) OVER w_{n} AS o_{n}, sum(o * o) OVER w_{n} AS o2_{n},
        sum(c) OVER w_{n} AS c_{n}, sum(c * c) OVER w_{n} AS c2_{n},
        sum(hl * hl) OVER w_{n} AS hl2_{n}, sum(rs) OVER w_{n} AS rs_{n}
