/* One step of each optimizer over a piece of a tensor, in one precision: part of optimizer.c, which includes it for
 * float and for double.
 *
 * Expects: REAL; STEP(name), which makes a name of its own from `name`; STEP_SQRT(x). */

static void STEP(adam)(const struct optimizer_step *step, const struct optimizer_piece *piece) {
  const REAL norm = (REAL)step->norm, keep = (REAL)step->keep, take = (REAL)step->take, rate = (REAL)step->rate;
  const REAL square_keep = (REAL)step->square_keep, square_take = (REAL)step->square_take;
  const REAL epsilon = (REAL)step->epsilon, shrink = (REAL)step->shrink;
  const REAL *x = piece->in[0], *g = piece->in[1], *v = piece->in[2], *h = piece->in[3];
  REAL *restrict x_new = piece->out[0], *restrict v_new = piece->out[1], *restrict h_new = piece->out[2];
  for (int64_t i = 0; i < piece->count; i++) {
    REAL gradient = norm * x[i] + g[i];
    REAL average = keep * v[i] + take * gradient, square = square_keep * h[i] + square_take * gradient * gradient;
    v_new[i] = average;
    h_new[i] = square;
    x_new[i] = shrink * (x[i] - rate * average / (STEP_SQRT(square) + epsilon));
  }
}

static void STEP(adagrad)(const struct optimizer_step *step, const struct optimizer_piece *piece) {
  const REAL norm = (REAL)step->norm, rate = (REAL)step->rate, epsilon = (REAL)step->epsilon;
  const REAL *x = piece->in[0], *g = piece->in[1], *h = piece->in[2];
  REAL *restrict x_new = piece->out[0], *restrict h_new = piece->out[1];
  for (int64_t i = 0; i < piece->count; i++) {
    REAL gradient = norm * x[i] + g[i], square = h[i] + gradient * gradient;
    h_new[i] = square;
    x_new[i] = x[i] - rate * gradient / (STEP_SQRT(square) + epsilon);
  }
}

static void STEP(momentum)(const struct optimizer_step *step, const struct optimizer_piece *piece) {
  const REAL norm = (REAL)step->norm, keep = (REAL)step->keep, take = (REAL)step->take, rate = (REAL)step->rate;
  const REAL *x = piece->in[0], *g = piece->in[1], *v = piece->in[2];
  REAL *restrict x_new = piece->out[0], *restrict v_new = piece->out[1];
  const bool is_nesterov = step->is_nesterov;
  for (int64_t i = 0; i < piece->count; i++) {
    REAL gradient = norm * x[i] + g[i], velocity = keep * v[i] + take * gradient;
    v_new[i] = velocity;
    x_new[i] = x[i] - rate * (is_nesterov ? gradient + keep * velocity : velocity);
  }
}
