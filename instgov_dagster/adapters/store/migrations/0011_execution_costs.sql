-- databases: warehouse live
-- What an order was expected to cost when it was decided; null in the rows that tell its outcome.
ALTER TABLE orders ADD COLUMN decision_mid DOUBLE;
ALTER TABLE orders ADD COLUMN temporary_impact_bps DOUBLE;
ALTER TABLE orders ADD COLUMN permanent_impact_bps DOUBLE;
ALTER TABLE orders ADD COLUMN spread_cost_bps DOUBLE;
ALTER TABLE orders ADD COLUMN total_cost_bps DOUBLE;

-- One row an order that was decided: its predicted cost beside the shortfall of its fills against
-- the mid at the decision, modelled costs included. The same sums as capital/execution/costs.py.
CREATE VIEW execution_costs AS
WITH done AS (
    SELECT
        client_order_id,
        sum(quantity::DOUBLE) AS filled,
        sum(CASE side WHEN 'BUY' THEN 1.0 ELSE -1.0 END * price::DOUBLE * quantity::DOUBLE) AS paid,
        sum(cost_usd::DOUBLE) AS charged
    FROM fills
    GROUP BY client_order_id
)
SELECT
    orders.client_order_id,
    orders.cycle_id,
    orders.symbol,
    orders.side,
    orders.decision_mid,
    orders.temporary_impact_bps,
    orders.permanent_impact_bps,
    orders.spread_cost_bps,
    orders.total_cost_bps AS predicted_cost_bps,
    (
        done.paid
        - CASE orders.side WHEN 'BUY' THEN 1.0 ELSE -1.0 END * orders.decision_mid * done.filled
        + done.charged
    ) / (orders.decision_mid * done.filled) * 10000.0 AS realised_cost_bps,
    coalesce(done.filled / orders.quantity::DOUBLE, 0.0) AS filled_share,
    orders."asof",
    orders.run_id,
    orders.recorded_at
FROM orders LEFT JOIN done USING (client_order_id)
WHERE orders.total_cost_bps IS NOT NULL;
