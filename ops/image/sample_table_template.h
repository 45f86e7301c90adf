/* Tables of taps for one precision: part of sample_table.c, which includes it once for each.
 *
 * Expects REAL, INDEX (a signed integer of the same size) and SAMPLE(name), which makes a name of its own from
 * `name`. */

/* Moves points beyond the image into it or, where taps may lie outside, near it. */
static void SAMPLE(pad)(const sample_space *space, int64_t size, REAL *x, int64_t count) {
  const REAL last = (REAL)(size - 1), low = space->centers ? 0 : (REAL)-0.5, high = last - low, length = high - low;
  switch (space->padding == SAMPLE_BORDER && space->keeps_points ? SAMPLE_ZEROS : space->padding) {
  case SAMPLE_ZEROS:
    for (int64_t i = 0; i < count; i++) {
      const REAL above = x[i] > -4 ? x[i] : -4; /* NaN too */
      x[i] = above < last + 4 ? above : last + 4;
    }
    break;
  case SAMPLE_BORDER:
    for (int64_t i = 0; i < count; i++) {
      const REAL above = x[i] > 0 ? x[i] : 0, inside = above < last ? above : last;
      x[i] = x[i] >= low && x[i] <= high ? x[i] : inside;
    }
    break;
  case SAMPLE_REFLECTION:
    for (int64_t i = 0; i < count; i++) {
      if (x[i] >= low && x[i] <= high) continue;
      const bool below = x[i] < low;
      REAL rest = SAMPLE(remainder)(below ? low - x[i] : x[i] - high, 2 * length);
      if (!(rest >= 0)) rest = 0; /* of what is not finite, or reflected at one place */
      const bool even = rest <= length;
      if (!even) rest -= length;
      x[i] = below == even ? low + rest : high - rest;
    }
    break;
  }
}

/* The offset of element `index` of an axis, which is not far from it. */
static inline INDEX SAMPLE(offset)(const sample_space *space, INDEX size, INDEX stride, INDEX index) {
  const INDEX last = size - 1, edge = space->centers ? 0 : 1;
  if (space->padding == SAMPLE_ZEROS) return index >= 0 && index < size ? index * stride : -1;
  if (space->padding == SAMPLE_REFLECTION) {
    index = index < 0 ? -edge - index : index;
    index = index > last ? 2 * last + edge - index : index;
    index = index < 0 ? -edge - index : index;
  }
  index = index > 0 ? index : 0;
  return (index < last ? index : last) * stride;
}

static void SAMPLE(cubic_weights)(REAL x, REAL *weights) {
  const REAL a = (REAL)-0.75, y = 1 - x;
  weights[0] = ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a;
  weights[1] = ((a + 2) * x - (a + 3)) * x * x + 1;
  weights[2] = ((a + 2) * y - (a + 3)) * y * y + 1;
  weights[3] = ((a * (y + 1) - 5 * a) * (y + 1) + 8 * a) * (y + 1) - 4 * a;
}

#define PIECE 64 /* points */

typedef struct SAMPLE(taps) {
  INDEX offsets[4][PIECE];
  REAL weights[4][PIECE];
} SAMPLE(taps);

/* Taps on one axis of at most PIECE points. */
static void SAMPLE(axis)(const sample_space *space, int axis, INDEX stride, REAL *x, int64_t count,
                         SAMPLE(taps) * taps) {
  const INDEX size = (INDEX)space->sizes[axis];
  if (space->mode == SAMPLE_NEAREST)
    for (int64_t i = 0; i < count; i++) x[i] = SAMPLE(round)(x[i]);
  SAMPLE(pad)(space, space->sizes[axis], x, count);
  if (space->mode == SAMPLE_NEAREST) {
    for (int64_t i = 0; i < count; i++) {
      taps->offsets[0][i] = SAMPLE(offset)(space, size, stride, (INDEX)x[i]);
      taps->weights[0][i] = 1;
    }
    return;
  }
  INDEX first[PIECE];
  for (int64_t i = 0; i < count; i++) {
    const INDEX whole = (INDEX)x[i];
    first[i] = whole - ((REAL)whole > x[i]);
    x[i] -= (REAL)first[i];
  }
  if (space->mode == SAMPLE_LINEAR) {
    for (int64_t i = 0; i < count; i++) {
      taps->weights[0][i] = 1 - x[i];
      taps->weights[1][i] = x[i];
    }
    for (int t = 0; t < 2; t++)
      for (int64_t i = 0; i < count; i++) taps->offsets[t][i] = SAMPLE(offset)(space, size, stride, first[i] + t);
    return;
  }
  for (int64_t i = 0; i < count; i++) {
    REAL weights[4];
    SAMPLE(cubic_weights)(x[i], weights);
    for (int t = 0; t < 4; t++) taps->weights[t][i] = weights[t];
  }
  for (int t = 0; t < 4; t++)
    for (int64_t i = 0; i < count; i++) taps->offsets[t][i] = SAMPLE(offset)(space, size, stride, first[i] - 1 + t);
}

/* The table of the axes before times the taps of one more; `rows` and the new ones lie in the same place, so the last
 * are made first. */
static void SAMPLE(multiply)(INDEX *offsets, REAL *weights, int64_t rows, int64_t count, int64_t stride,
                             const SAMPLE(taps) * taps, int64_t tap_count) {
  for (int64_t row = rows - 1; row >= 0; row--) {
    for (int64_t t = tap_count - 1; t >= 0; t--) {
      const int64_t from = row * stride, to = (row * tap_count + t) * stride;
      for (int64_t i = 0; i < count; i++) {
        const INDEX a = offsets[from + i], b = taps->offsets[t][i];
        offsets[to + i] = (a | b) < 0 ? -1 : a + b;
        weights[to + i] = weights[from + i] * taps->weights[t][i];
      }
    }
  }
}

void SAMPLE(table)(const sample_space *space, REAL *points, int64_t count, INDEX *offsets, REAL *weights) {
  const int64_t axis_taps = sample_axis_taps(space->mode);
  for (int64_t first = 0; first < count; first += PIECE) {
    const int64_t piece = count - first < PIECE ? count - first : PIECE;
    int64_t rows = 1, stride = 1;
    for (int64_t i = 0; i < piece; i++) offsets[first + i] = 0, weights[first + i] = 1;
    for (int axis = space->axes - 1; axis >= 0; axis--) {
      SAMPLE(taps) taps;
      SAMPLE(axis)(space, axis, (INDEX)stride, points + axis * count + first, piece, &taps);
      SAMPLE(multiply)(offsets + first, weights + first, rows, piece, count, &taps, axis_taps);
      rows *= axis_taps;
      stride *= space->sizes[axis];
    }
  }
}

#undef PIECE
#undef REAL
#undef INDEX
#undef SAMPLE
