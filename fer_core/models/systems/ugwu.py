"""Ugwu, "Deep Learning-based Facial Expression Recognition using the RAF-DB Dataset": one CNN and four sweeps.

Printed: 128 x 128 colour, Adam, batch size 64, shear 0.2 degrees, zoom 0.2, flips; the last epoch counts. ``depth`` is
read as the number of all convolutions, as the comments in the code of figure 4 count them. The text says both: that
number before table 3, and that of additional ones below it.

The paper zooms by Keras' ``zoom_range``, which draws the zooms of x and y apart and repeats the nearest pixel beyond
the border. Here a zoom is one draw for both axes, so that faces keep their shape, and borders are reflected.
"""

PRINTED = {
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "schedule": "constant",
    "batch_size": 64,
    "epochs": 100,
    "select": "last",
    "augmentation": {"shear": 0.2, "zoom": 0.2, "flip": 0.5},
}


def _system(system: str, title: str, depth: int = 2, **recipe) -> dict:
    return {
        "title": f"Ugwu's CNN: {title}",
        "family": "network",
        "builder": "deepening_cnn",
        "input_size": 128,
        "channels": 3,
        "fixed_size": True,
        "paper": "ugwu_rafdb",
        "system": f"cnn:{system}",
        "arguments": {"depth": depth},
        "recipe": PRINTED | recipe,
    }


LEARNING_RATES = {
    f"ugwu_lr_{rate}": _system(f"learning_rate={rate}", f"learning rate {rate}", learning_rate=rate, epochs=50)
    for rate in (0.01, 0.001, 0.0001)
}
EPOCHS = {
    f"ugwu_epochs_{epochs}": _system(f"epochs={epochs}", f"{epochs} epochs", epochs=epochs)
    for epochs in (100, 200, 500, 800, 1000)
}
DEPTHS = {f"ugwu_depth_{depth}": _system(f"depth={depth}", f"depth {depth}", depth) for depth in (3, 4, 5, 6)}
BATCH_SIZES = {
    f"ugwu_batch_{size}": _system(f"batch_size={size}", f"depth 4, batch size {size}", 4, batch_size=size)
    for size in (128, 256, 512, 1024, 2048)
}
SYSTEMS: dict[str, dict] = LEARNING_RATES | EPOCHS | DEPTHS | BATCH_SIZES
