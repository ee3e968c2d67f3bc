SELECT what, count(*) FROM diff GROUP BY what
