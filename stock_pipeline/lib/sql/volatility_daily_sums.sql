,
        -- Window of {n}: its returns add up to one, and o = r - c.
        count(r) OVER w_{n} AS returns_{n}, count(rs) OVER w_{n} AS ranges_{n},
        ln(price / lag(base, {before}) OVER by_date) AS sum_r_{n}, sum(r * r) OVER w_{n} AS sum_r2_{n},
        sum(o * o) OVER w_{n} AS sum_o2_{n},
        sum(c) OVER w_{n} AS sum_c_{n}, sum(c * c) OVER w_{n} AS sum_c2_{n},
        sum(hl * hl) OVER w_{n} AS sum_hl2_{n}, sum(rs) OVER w_{n} AS sum_rs_{n}
