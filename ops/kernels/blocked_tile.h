/* The register tile of convolution on channel blocks: part of kernel_table_isa.c.
 *
 * A tile is some neighbouring pixels of a line times one to three blocks of outputs (a panel). Weights lie packed as
 * [panel][group][step][vectors of the panel * b]. A group is one channel block under one tap of the kernel and has a
 * step for each of its channels; of a plain input it is one channel under one tap and one step. Inputs are read where
 * they are, one broadcast per pixel and step: pixel r of a group stands r * b floats (plain: r floats) behind the
 * first.
 *
 * Order of the sum: groups are cut in blocks of depth, whose length depends on channels and kernel only; each is summed
 * from 0 upwards by fused multiply-adds, and the blocks' sums are added in order. */

/* BLOCKED_PIXELS_v: pixels of a tile that is v vectors of outputs wide, by the instruction set's file. */
#define BLOCKED_EACH_PIXEL_COUNT_1(X) EACH_UP_TO(BLOCKED_PIXELS_1, X, 1)
#define BLOCKED_EACH_PIXEL_COUNT_2(X) EACH_UP_TO(BLOCKED_PIXELS_2, X, 2)
#define BLOCKED_EACH_PIXEL_COUNT_3(X) EACH_UP_TO(BLOCKED_PIXELS_3, X, 3)

enum { BLOCKED_PANEL_VECTORS = 3, BLOCKED_LARGEST_TILE = 14 };

/* What the tiles of one panel and one block of depth have in common. */
struct blocked_tile {
  const float *weights; /* of the first group */
  const size_t *offset; /* of each group, from the first pixel */
  size_t groups;
  size_t whole_groups;       /* the first ones, which have all b channels */
  size_t rest;               /* channels of the others */
  struct stream_fetch fetch; /* weights that are used next */
  bool add_partial;          /* partial holds the sum of the groups before */
  bool store_partial;        /* more groups follow: the sum goes to partial, nothing to y */
  size_t partial_plane;      /* from one block of outputs to the next, in floats */
  size_t y_plane;
  const float *bias; /* of the panel */
  struct pointwise_end end;
  float a, b;              /* of the activation */
  norma_element_type type; /* of y and residual */
};

INLINE void blocked_tile_step(vf sum[][BLOCKED_PANEL_VECTORS], const float *x, const float *weights, const int pixels,
                              const int vectors, const size_t pixel_step) {
  vf weight[BLOCKED_PANEL_VECTORS];
  UNROLL
  for (int v = 0; v < vectors; v++) weight[v] = vf_load(weights + v * VF_LANES);
  UNROLL
  for (int r = 0; r < pixels; r++) {
    const vf value = vf_set1(x[r * pixel_step]);
    UNROLL
    for (int v = 0; v < vectors; v++) sum[r][v] = vf_fma(value, weight[v], sum[r][v]);
  }
}

INLINE void blocked_tile_store(const struct blocked_tile *t, vf sum[][BLOCKED_PANEL_VECTORS], float *partial, float *y,
                               const float *residual, const int pixels, const int vectors, const bool plain) {
  if (t->add_partial) {
    UNROLL
    for (int r = 0; r < pixels; r++) {
      UNROLL
      for (int v = 0; v < vectors; v++) sum[r][v] = vf_load(partial + v * t->partial_plane + r * VF_LANES) + sum[r][v];
    }
  }
  if (t->store_partial) {
    UNROLL
    for (int r = 0; r < pixels; r++) {
      UNROLL
      for (int v = 0; v < vectors; v++) vf_store(partial + v * t->partial_plane + r * VF_LANES, sum[r][v]);
    }
    return;
  }
  const vf low = vf_set1(t->end.low), high = vf_set1(t->end.high);
  UNROLL
  for (int v = 0; v < vectors; v++) {
    const vf bias = vf_load(t->bias + v * VF_LANES);
    UNROLL
    for (int r = 0; r < pixels; r++) sum[r][v] += bias;
  }
  if (residual) {
    UNROLL
    for (int r = 0; r < pixels; r++) {
      UNROLL
      for (int v = 0; v < vectors; v++) sum[r][v] += vf_load(residual + v * t->y_plane + r * VF_LANES);
    }
  }
  if (t->end.high < INFINITY || plain) { /* one path is faster where sums are short */
    UNROLL
    for (int r = 0; r < pixels; r++) {
      UNROLL
      for (int v = 0; v < vectors; v++)
        vf_store(y + v * t->y_plane + r * VF_LANES, vf_min(high, vf_max(low, sum[r][v])));
    }
  } else {
    UNROLL
    for (int r = 0; r < pixels; r++) {
      UNROLL
      for (int v = 0; v < vectors; v++) vf_store(y + v * t->y_plane + r * VF_LANES, vf_max(low, sum[r][v]));
    }
  }
}

INLINE void blocked_tile_body(struct blocked_tile *t, const float *x, float *partial, float *y, const float *residual,
                              const int pixels, const int vectors, const bool plain) {
  vf sum[BLOCKED_LARGEST_TILE][BLOCKED_PANEL_VECTORS];
  const float *weights = t->weights;
  size_t group = 0;
  UNROLL
  for (int r = 0; r < pixels; r++) {
    UNROLL
    for (int v = 0; v < vectors; v++) sum[r][v] = vf_zero();
  }
  if (plain) {
    for (; group < t->groups; group++, weights += vectors * VF_LANES)
      blocked_tile_step(sum, x + t->offset[group], weights, pixels, vectors, 1);
  } else {
    const char *ahead = t->fetch.next;
    const size_t period = t->fetch.period, stream = t->fetch.stream;
    size_t wait = period;
    for (; group < t->whole_groups; group++) {
      const float *from = x + t->offset[group];
      for (int c = 0; c < VF_LANES; c += STREAM_FETCH_CHUNK) {
        if (--wait == 0) {
          stream_fetch_round(ahead, stream);
          ahead += STREAM_FETCH_LINE;
          wait = period;
        }
        UNROLL
        for (int i = 0; i < STREAM_FETCH_CHUNK; i++)
          blocked_tile_step(sum, from + c + i, weights + i * vectors * VF_LANES, pixels, vectors, VF_LANES);
        weights += STREAM_FETCH_CHUNK * vectors * VF_LANES;
      }
    }
    t->fetch.next = ahead;
    for (; group < t->groups; group++) {
      const float *from = x + t->offset[group];
      for (size_t c = 0; c < t->rest; c++, weights += vectors * VF_LANES)
        blocked_tile_step(sum, from + c, weights, pixels, vectors, VF_LANES);
    }
  }
  blocked_tile_store(t, sum, partial, y, residual, pixels, vectors, plain);
}

typedef void blocked_tile_function(struct blocked_tile *t, const float *x, float *partial, float *y,
                                   const float *residual);

#define TILE_INSTANCE(pixels, vectors)                                                                                 \
  static void blocked_tile_##pixels##x##vectors(struct blocked_tile *t, const float *x, float *partial, float *y,      \
                                                const float *residual) {                                               \
    blocked_tile_body(t, x, partial, y, residual, pixels, vectors, false);                                             \
  }                                                                                                                    \
  static void blocked_plain_tile_##pixels##x##vectors(struct blocked_tile *t, const float *x, float *partial,          \
                                                      float *y, const float *residual) {                               \
    blocked_tile_body(t, x, partial, y, residual, pixels, vectors, true);                                              \
  }
BLOCKED_EACH_PIXEL_COUNT_1(TILE_INSTANCE)
BLOCKED_EACH_PIXEL_COUNT_2(TILE_INSTANCE)
BLOCKED_EACH_PIXEL_COUNT_3(TILE_INSTANCE)
#undef TILE_INSTANCE

/* [plain][vectors - 1][pixels - 1] */
#define TILE_NAME(pixels, vectors)       blocked_tile_##pixels##x##vectors,
#define PLAIN_TILE_NAME(pixels, vectors) blocked_plain_tile_##pixels##x##vectors,
static blocked_tile_function *const blocked_tiles[2][BLOCKED_PANEL_VECTORS][BLOCKED_LARGEST_TILE] = {
    {{BLOCKED_EACH_PIXEL_COUNT_1(TILE_NAME)},
     {BLOCKED_EACH_PIXEL_COUNT_2(TILE_NAME)},
     {BLOCKED_EACH_PIXEL_COUNT_3(TILE_NAME)}},
    {{BLOCKED_EACH_PIXEL_COUNT_1(PLAIN_TILE_NAME)},
     {BLOCKED_EACH_PIXEL_COUNT_2(PLAIN_TILE_NAME)},
     {BLOCKED_EACH_PIXEL_COUNT_3(PLAIN_TILE_NAME)}}};
#undef TILE_NAME
#undef PLAIN_TILE_NAME

static const size_t blocked_tile_pixels[BLOCKED_PANEL_VECTORS] = {BLOCKED_PIXELS_1, BLOCKED_PIXELS_2, BLOCKED_PIXELS_3};

INLINE size_t blocked_line_tiles(size_t length, size_t vectors) {
  const size_t most = blocked_tile_pixels[vectors - 1];
  return (length + most - 1) / most;
}

/* The `tiles` tiles of one block of depth share in fetching the `floats` of the next, as evenly as chunks allow. */
INLINE void blocked_tile_fetch(struct blocked_tile *t, const float *next, size_t floats, size_t tiles) {
  t->fetch = stream_fetch_of(next, floats * sizeof(float), tiles * t->whole_groups * (VF_LANES / STREAM_FETCH_CHUNK));
}

/* One tile whose y and residual are of half precision: they go through float, in the first-level cache. */
static void blocked_tile_converted(struct blocked_tile *t, blocked_tile_function *compute, const float *x,
                                   float *partial, void *y, const void *residual, size_t pixels, size_t vectors) {
  float sums[BLOCKED_PANEL_VECTORS * BLOCKED_LARGEST_TILE * VF_LANES] __attribute__((aligned(64)));
  float addends[BLOCKED_PANEL_VECTORS * BLOCKED_LARGEST_TILE * VF_LANES] __attribute__((aligned(64)));
  const size_t y_plane = t->y_plane, plane = pixels * VF_LANES;
  for (size_t v = 0; residual && v < vectors; v++)
    widen(addends + v * plane, const_element_at(residual, v * y_plane, t->type), plane, t->type);
  t->y_plane = plane;
  compute(t, x, partial, sums, residual ? addends : NULL);
  t->y_plane = y_plane;
  if (t->end.function) t->end.function(sums, sums, vectors * plane, t->a, t->b);
  for (size_t v = 0; v < vectors; v++) narrow(element_at(y, v * y_plane, t->type), sums + v * plane, plane, t->type);
}

/* `length` neighbouring pixels of one line, in tiles that differ by one pixel at most. */
static void blocked_tile_line(struct blocked_tile *t, size_t vectors, bool plain, const float *x, float *partial,
                              void *y, const void *residual, size_t length) {
  const size_t tiles = blocked_line_tiles(length, vectors);
  const size_t base = length / tiles, larger = length % tiles, x_step = plain ? 1 : VF_LANES;
  for (size_t tile = 0; tile < tiles; tile++) {
    const size_t pixels = base + (tile < larger);
    blocked_tile_function *compute = blocked_tiles[plain][vectors - 1][pixels - 1];
    if (t->store_partial || t->type == NORMA_FLOAT)
      compute(t, x, partial, y, residual);
    else
      blocked_tile_converted(t, compute, x, partial, y, residual, pixels, vectors);
    if (!t->store_partial && t->end.function && t->type == NORMA_FLOAT)
      for (size_t v = 0; v < vectors; v++) {
        float *stored = (float *)y + v * t->y_plane;
        t->end.function(stored, stored, pixels * VF_LANES, t->a, t->b);
      }
    stream_fetch_stop(&t->fetch);
    x += pixels * x_step;
    if (partial) partial += pixels * VF_LANES;
    y = element_at(y, pixels * VF_LANES, t->type);
    residual = const_element_at(residual, pixels * VF_LANES, t->type);
  }
}

/* ---- how outputs and depth are cut ---- */
INLINE size_t blocked_count(size_t channels) {
  return (channels + VF_LANES - 1) / VF_LANES;
}

/* Panels are two blocks wide; the last takes what is left: one to three. */
INLINE size_t blocked_panels(size_t blocks) {
  return blocks < 2 ? blocks : blocks / 2;
}

INLINE size_t blocked_panel_vectors(size_t blocks, size_t panel) {
  return panel + 1 < blocked_panels(blocks) ? 2 : blocks - 2 * panel;
}

/* The panel of a block of outputs. */
INLINE size_t blocked_panel_of(size_t blocks, size_t block) {
  const size_t panels = blocked_panels(blocks);
  return block / 2 < panels ? block / 2 : panels - 1;
}

/* Groups of a block of depth, of `steps` steps each: 256 steps are 14 KiB of inputs and 32 KiB of weights with AVX-512,
 * half of that and less elsewhere. */
INLINE size_t blocked_depth_groups(size_t groups, size_t steps) {
  const size_t blocks = (groups * steps + 255) / 256;
  return blocks ? (groups + blocks - 1) / blocks : 0;
}

/* Part `part` of `parts` balanced parts of n things begins here. */
INLINE size_t blocked_part(size_t n, size_t parts, size_t part) {
  const size_t base = n / parts, larger = n % parts;
  return part * base + (part < larger ? part : larger);
}
