"""From approved trades to what they cost: the plan, the rule of a fill, a market on paper."""

from instgov_dagster.capital.execution.plan import PLAN_SCHEMA, ExecutionPlan, plan_orders

__all__ = ["PLAN_SCHEMA", "ExecutionPlan", "plan_orders"]
