"""How every figure looks: colours that the colour-blind can tell apart, no ground of its own."""

from typing import Final

# plotly asks for pandas among the loaded modules: one that another thread has half loaded by then
# would break a figure, so it is loaded here, once and first.
import pandas as pd  # noqa: F401
import plotly.graph_objects as go

#: Okabe and Ito (2008): eight colours that stay apart in every common colour vision deficiency;
#: their black is left out, for the ground may be dark.
BLUE: Final = "#0072B2"
ORANGE: Final = "#E69F00"
GREEN: Final = "#009E73"
VERMILION: Final = "#D55E00"
SKY: Final = "#56B4E9"
PURPLE: Final = "#CC79A7"
YELLOW: Final = "#F0E442"
GREY: Final = "#8A8F98"
PALETTE: Final = (BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE, YELLOW, GREY)

#: Decisions in the order they are stacked and coloured; a shape or a word always says it too.
DECISION_COLOURS: Final = {
    "EXECUTE": GREEN,
    "HOLD": SKY,
    "REDUCE": ORANGE,
    "REJECT": GREY,
    "VETO": VERMILION,
    "INELIGIBLE": PURPLE,
}
#: Light to dark in one hue: order survives without colour.
SEQUENTIAL: Final = ((0.0, "#E8F1FA"), (0.5, "#56B4E9"), (1.0, "#003B6F"))

HEIGHT: Final = 320


def figure(
    *traces: go.Figure,
    x_title: str = "",
    y_title: str = "",
    height: int = HEIGHT,
    has_legend: bool = True,
) -> go.Figure:
    """Set traces on a ground that the page's own theme shines through.

    Parameters
    ----------
    x_title, y_title
        The quantities on the axes, with their unit.
    height
        Pixels.
    """
    made = go.Figure(data=list(traces))
    made.update_layout(
        template="none",
        height=height,
        margin={"l": 64, "r": 16, "t": 12, "b": 48},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        colorway=list(PALETTE),
        font={"family": "system-ui, sans-serif", "size": 13},
        showlegend=has_legend,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hovermode="closest",
        barmode="relative",
        uniformtext={"minsize": 9, "mode": "show"},
    )
    made.update_xaxes(title_text=x_title, zeroline=False, automargin=True)
    made.update_yaxes(title_text=y_title, zeroline=False, automargin=True)
    return made


def limit_line(made: go.Figure, level: float, name: str) -> go.Figure:
    """Draw a limit across a figure, dashed, and name it where it stands."""
    made.add_hline(
        y=level,
        line={"color": VERMILION, "dash": "dash", "width": 2},
        annotation_text=name,
        annotation_position="top left",
    )
    return made
