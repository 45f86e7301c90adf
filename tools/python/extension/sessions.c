#include "module.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

/* Inputs of at most so many bytes are copied before a run: that is quicker than to keep others from writing them. */
#define SESSIONS_SMALL_INPUT 4096
/* Outputs of so many bytes are computed where the array has them, where their size is known before the run. */
#define SESSIONS_LARGE_OUTPUT 32768
/* An array, the array that it is a view of, and so on. */
#define SESSIONS_LOCKS 4
/* How often a run in the main thread looks for signals. */
#define SESSIONS_SIGNAL_NS 50000000

/* What an input of the model is given for one run. */
typedef struct input_slot {
  PyObject *key; /* its name as str, borrowed from the model */
  const char *name;
  const norma_type *type;
  bool is_bound;                         /* the session has seen it set */
  PyObject *held;                        /* the array whose memory is read */
  PyArrayObject *locked[SESSIONS_LOCKS]; /* those that may not be written until the run has ended */
  norma_value *value;                    /* what was made of anything that is no array of numbers */
  void *copy;
  size_t copy_bytes;
} input_slot;

typedef struct output_slot {
  const char *name;
  PyArrayObject *array; /* that the run computes into */
} output_slot;

typedef struct session_object {
  PyObject_HEAD;
  model_object *model;
  norma_session *session;
  input_slot *inputs;
  output_slot *outputs;
  bool copies_inputs, has_large_outputs;
  bool is_running;
} session_object;

static module_state *sessions_state(const session_object *session) {
  return session->model->runtime->state;
}

/* ----------------------------------------------------------------------------------------------------------- inputs */

/* Keeps arrays from being written through Python while the GIL is not held. Views that exist already are not seen. */
static void inputs_lock(input_slot *slot, PyObject *object) {
  for (int i = 0; i < SESSIONS_LOCKS && object && PyArray_Check(object); i++) {
    PyArrayObject *array = (PyArrayObject *)object;
    object = PyArray_BASE(array);
    if (!PyArray_ISWRITEABLE(array)) continue;
    PyArray_CLEARFLAGS(array, NPY_ARRAY_WRITEABLE);
    Py_INCREF(array);
    slot->locked[i] = array;
  }
}

static void inputs_release(input_slot *slot) {
  for (int i = 0; i < SESSIONS_LOCKS; i++) {
    if (!slot->locked[i]) continue;
    PyArray_ENABLEFLAGS(slot->locked[i], NPY_ARRAY_WRITEABLE);
    Py_CLEAR(slot->locked[i]);
  }
  Py_CLEAR(slot->held);
  norma_value_destroy(slot->value);
  slot->value = NULL;
}

/* Operators check an index or a size, and then use it: nobody may write it in between. */
static bool inputs_hold_indices(const norma_tensor *tensor) {
  return tensor->type == NORMA_INT64 || tensor->type == NORMA_INT32 || tensor->type == NORMA_UINT64 ||
         tensor->type == NORMA_UINT32;
}

static bool inputs_copy(input_slot *slot, norma_tensor *tensor) {
  if (slot->copy_bytes < tensor->size_bytes) {
    PyMem_Free(slot->copy);
    slot->copy_bytes = 0;
    slot->copy = PyMem_Malloc(tensor->size_bytes);
    if (!slot->copy) {
      PyErr_NoMemory();
      return false;
    }
    slot->copy_bytes = tensor->size_bytes;
  }
  if (tensor->size_bytes > 0) memcpy(slot->copy, tensor->data, tensor->size_bytes);
  tensor->data = slot->copy;
  return true;
}

/* An array of numbers is given to the session as it lies. */
static bool inputs_set_array(session_object *session, input_slot *slot, PyObject *array, bool is_new,
                             norma_tensor *tensor) {
  const bool is_copied =
      tensor->size_bytes <= SESSIONS_SMALL_INPUT || session->copies_inputs || inputs_hold_indices(tensor);
  if (is_copied && !is_new) {
    if (!inputs_copy(slot, tensor)) return false;
  } else {
    if (!is_new) inputs_lock(slot, array);
    Py_INCREF(array);
    slot->held = array;
  }
  norma_error error;
  if (norma_session_set_input(session->session, slot->name, tensor, &error) == NORMA_OK) return true;
  errors_raise(sessions_state(session), &error);
  return false;
}

static bool inputs_set_value(session_object *session, input_slot *slot, PyObject *object) {
  module_state *state = sessions_state(session);
  slot->value = values_from_object(state, session->model->runtime->runtime, object, slot->type);
  if (!slot->value) return false;
  norma_error error;
  if (norma_session_set_input_value(session->session, slot->name, slot->value, &error) == NORMA_OK) return true;
  errors_raise(state, &error);
  return false;
}

static bool inputs_set_other(session_object *session, input_slot *slot, PyObject *object) {
  const norma_value_kind kind = norma_type_kind(slot->type);
  if (kind != NORMA_VALUE_TENSOR || object == Py_None) return inputs_set_value(session, slot, object);
  norma_tensor tensor;
  PyArrayObject *array = arrays_from_object(sessions_state(session), object, norma_type_element(slot->type), &tensor);
  if (!array) return false;
  const bool is_plain = tensor.type != NORMA_STRING && !arrays_is_packed(tensor.type);
  const bool is_set = is_plain
                          ? inputs_set_array(session, slot, (PyObject *)array, (PyObject *)array != object, &tensor)
                          : inputs_set_value(session, slot, (PyObject *)array);
  Py_DECREF(array);
  return is_set;
}

/* Names the input in an exception that does not. */
static void inputs_blame(const session_object *session, const input_slot *slot) {
  PyObject *type, *exception, *traceback;
  PyErr_Fetch(&type, &exception, &traceback);
  PyErr_NormalizeException(&type, &exception, &traceback);
  PyObject *result =
      PyObject_CallFunction(sessions_state(session)->blame, "OO", slot->key, exception ? exception : Py_None);
  Py_XDECREF(result);
  Py_XDECREF(type);
  Py_XDECREF(exception);
  Py_XDECREF(traceback);
}

static bool inputs_set(session_object *session, input_slot *slot, PyObject *object) {
  norma_tensor tensor;
  bool is_set;
  slot->is_bound = true;
  if (PyArray_Check(object) && arrays_view(sessions_state(session), (PyArrayObject *)object, &tensor) &&
      (tensor.type <= NORMA_COMPLEX128 && norma_type_element(slot->type) <= NORMA_COMPLEX128) &&
      norma_type_kind(slot->type) == NORMA_VALUE_TENSOR) {
    is_set = inputs_set_array(session, slot, object, false, &tensor);
  } else {
    is_set = inputs_set_other(session, slot, object);
  }
  if (!is_set) inputs_blame(session, slot);
  return is_set;
}

/* An input that this run is not given must not have what an earlier one was given. */
static void inputs_forget(session_object *session) {
  norma_session_clear_inputs(session->session);
  for (Py_ssize_t i = 0; i < session->model->input_count; i++) session->inputs[i].is_bound = false;
}

static PyObject *inputs_names(const session_object *session) {
  PyObject *list = PyList_New(0);
  for (Py_ssize_t i = 0; list && i < session->model->input_count; i++) {
    if (PyList_Append(list, session->inputs[i].key) != 0) Py_CLEAR(list);
  }
  return list;
}

/* Raises the error that a dict has a key that is no input. */
static bool inputs_refuse_unknown(const session_object *session, PyObject *dict) {
  PyObject *names = inputs_names(session), *key, *item;
  Py_ssize_t place = 0;
  while (names && PyDict_Next(dict, &place, &key, &item)) {
    if (PySequence_Contains(names, key) != 0) continue;
    PyObject *text = PyUnicode_FromFormat("the model has no input %R; its inputs are %R", key, names);
    PyObject *bytes = text ? text_bytes(text) : NULL;
    if (bytes) {
      errors_raise_status(sessions_state(session), NORMA_ERROR_ARGUMENT, NULL, "%s", PyBytes_AsString(bytes));
    }
    Py_XDECREF(text);
    Py_XDECREF(bytes);
    break;
  }
  Py_XDECREF(names);
  if (!PyErr_Occurred()) PyErr_SetString(PyExc_RuntimeError, "the inputs were changed while they were read");
  return false;
}

static bool inputs_take_dict(session_object *session, PyObject *dict) {
  Py_ssize_t found = 0;
  bool is_forgotten = false;
  for (Py_ssize_t i = 0; i < session->model->input_count && !is_forgotten; i++) {
    PyObject *object = PyDict_GetItemWithError(dict, session->inputs[i].key);
    if (!object && PyErr_Occurred()) return false;
    found += object != NULL;
    is_forgotten = !object && session->inputs[i].is_bound;
  }
  if (is_forgotten) {
    inputs_forget(session);
    return inputs_take_dict(session, dict);
  }
  if (found != PyDict_Size(dict)) return inputs_refuse_unknown(session, dict);
  for (Py_ssize_t i = 0; i < session->model->input_count; i++) {
    PyObject *object = PyDict_GetItemWithError(dict, session->inputs[i].key);
    if (!object) continue;
    Py_INCREF(object);
    const bool is_set = inputs_set(session, &session->inputs[i], object);
    Py_DECREF(object);
    if (!is_set) return false;
  }
  return true;
}

static bool inputs_take_list(session_object *session, PyObject *given) {
  const Py_ssize_t count = PySequence_Size(given);
  if (count < 0) return false;
  if (count > session->model->input_count) {
    errors_raise_status(sessions_state(session), NORMA_ERROR_ARGUMENT, NULL, "%zd inputs are given, the model has %zd",
                        count, session->model->input_count);
    return false;
  }
  for (Py_ssize_t i = count; i < session->model->input_count; i++) {
    if (session->inputs[i].is_bound) inputs_forget(session);
  }
  for (Py_ssize_t i = 0; i < count; i++) {
    PyObject *object = PySequence_GetItem(given, i);
    const bool is_set = object && inputs_set(session, &session->inputs[i], object);
    Py_XDECREF(object);
    if (!is_set) return false;
  }
  return true;
}

/* A dict by name, or a list or tuple in the order of the model. */
static bool inputs_take(session_object *session, PyObject *given) {
  if (PyDict_Check(given)) return inputs_take_dict(session, given);
  if (PyList_Check(given) || PyTuple_Check(given)) return inputs_take_list(session, given);
  if (!PyMapping_Check(given) || PyArray_Check(given)) {
    PyErr_Format(PyExc_TypeError, "inputs are a dict by name or a list in the order of the model, not a %R",
                 (PyObject *)Py_TYPE(given));
    return false;
  }
  PyObject *dict = PyDict_New();
  const bool is_taken = dict && PyDict_Update(dict, given) == 0 && inputs_take_dict(session, dict);
  Py_XDECREF(dict);
  return is_taken;
}

/* ---------------------------------------------------------------------------------------------------------- outputs */

/* Lets large outputs whose sizes are known be computed where the caller gets them. */
static bool outputs_bind(session_object *session) {
  module_state *state = sessions_state(session);
  norma_error error;
  norma_status status;
  Py_BEGIN_ALLOW_THREADS;
  status = norma_session_prepare(session->session, &error);
  Py_END_ALLOW_THREADS;
  if (status != NORMA_OK) {
    errors_raise(state, &error);
    return false;
  }
  for (Py_ssize_t i = 0; i < session->model->output_count; i++) {
    norma_tensor planned;
    if (norma_session_planned_output(session->session, (size_t)i, &planned) != NORMA_OK) continue;
    if (planned.size_bytes < SESSIONS_LARGE_OUTPUT || planned.type == NORMA_STRING || arrays_is_packed(planned.type)) {
      continue;
    }
    PyArrayObject *array = arrays_allocate(state, &planned);
    if (!array) return false;
    session->outputs[i].array = array;
    norma_session_bind_output(session->session, (size_t)i, PyArray_DATA(array), planned.size_bytes, &error);
  }
  return true;
}

static void outputs_release(session_object *session) {
  for (Py_ssize_t i = 0; i < session->model->output_count; i++) {
    if (!session->outputs[i].array) continue;
    norma_session_bind_output(session->session, (size_t)i, NULL, 0, NULL);
    Py_CLEAR(session->outputs[i].array);
  }
}

/* Output `index` of the run, and whether it was one to be computed in place. */
static PyObject *outputs_take(session_object *session, Py_ssize_t index) {
  PyObject *array = (PyObject *)session->outputs[index].array;
  const norma_value *value = norma_session_output(session->session, (size_t)index);
  const norma_tensor *tensor = norma_value_tensor(value);
  session->has_large_outputs |= tensor && tensor->size_bytes >= SESSIONS_LARGE_OUTPUT;
  if (!array) return values_to_object(sessions_state(session), value);
  Py_INCREF(array);
  return array;
}

/* A value by name: an output, or one that is watched. */
static PyObject *outputs_take_named(session_object *session, PyObject *name) {
  PyObject *index = PyDict_GetItemWithError(session->model->output_indices, name);
  if (index) return outputs_take(session, PyLong_AsSsize_t(index));
  if (PyErr_Occurred()) return NULL;
  PyObject *bytes = text_bytes(name);
  if (!bytes) return NULL;
  const norma_value *value = norma_session_value(session->session, PyBytes_AsString(bytes));
  PyObject *object = NULL;
  if (value) {
    object = values_to_object(sessions_state(session), value);
  } else {
    errors_raise_status(sessions_state(session), NORMA_ERROR_ARGUMENT, PyBytes_AsString(bytes),
                        "the model has no output '%s', and no value of that name is watched", PyBytes_AsString(bytes));
  }
  Py_DECREF(bytes);
  return object;
}

static PyObject *outputs_take_all(session_object *session, PyObject *names) {
  const Py_ssize_t count = names ? PyList_Size(names) : session->model->output_count;
  session->has_large_outputs = false;
  PyObject *list = PyList_New(count);
  for (Py_ssize_t i = 0; list && i < count; i++) {
    PyObject *object = names ? outputs_take_named(session, PyList_GetItem(names, i)) : outputs_take(session, i);
    if (!object || PyList_SetItem(list, i, object) != 0) Py_CLEAR(list);
  }
  return list;
}

/* -------------------------------------------------------------------------------------------------------------- run */

/* A run that gives way to signals, which Python's main thread alone handles. */
typedef struct signal_watch {
  pthread_t thread;
  uint64_t next_ns;
  PyThreadState *thread_state;
  bool is_interrupted;
} signal_watch;

static uint64_t signals_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static bool signals_check(void *context) {
  signal_watch *watch = context;
  if (!pthread_equal(watch->thread, pthread_self())) return false;
  const uint64_t now = signals_now();
  if (now < watch->next_ns || watch->is_interrupted) return watch->is_interrupted;
  watch->next_ns = now + SESSIONS_SIGNAL_NS;
  PyEval_RestoreThread(watch->thread_state);
  watch->is_interrupted = PyErr_CheckSignals() != 0;
  watch->thread_state = PyEval_SaveThread();
  return watch->is_interrupted;
}

static bool sessions_compute(session_object *session, double timeout, norma_run_profile profile) {
  module_state *state = sessions_state(session);
  norma_run_options options = {.struct_size = sizeof options, .timeout = timeout, .profile = profile};
  signal_watch watch = {.thread = pthread_self(), .next_ns = signals_now() + SESSIONS_SIGNAL_NS};
  if (PyThread_get_thread_ident() == state->main_thread) {
    options.is_cancelled = signals_check;
    options.cancel_context = &watch;
  }
  norma_error error;
  watch.thread_state = PyEval_SaveThread();
  const norma_status status = norma_session_run_with(session->session, &options, &error);
  PyEval_RestoreThread(watch.thread_state);
  if (watch.is_interrupted) return false; /* with the exception that the signal's handler has raised */
  if (status != NORMA_OK) errors_raise(state, &error);
  return status == NORMA_OK;
}

static bool sessions_enter(session_object *session) {
  if (session->is_running) {
    errors_raise_status(sessions_state(session), NORMA_ERROR_ARGUMENT, NULL,
                        "the session is in a run already: each thread needs a session of its own, which is cheap to "
                        "make of the same model");
    return false;
  }
  if (!runtimes_check_fork(session->model->runtime)) return false;
  session->is_running = true;
  return true;
}

static void sessions_leave(session_object *session) {
  outputs_release(session);
  for (Py_ssize_t i = 0; i < session->model->input_count; i++) inputs_release(&session->inputs[i]);
  session->is_running = false;
}

static PyObject *sessions_run(PyObject *self, PyObject *arguments, PyObject *keywords) {
  session_object *session = (session_object *)self;
  PyObject *inputs = Py_None, *outputs = Py_None, *profile = Py_None;
  double timeout = 0;
  if (!keywords && PyTuple_Size(arguments) == 1) { /* what a loop does */
    inputs = PyTuple_GetItem(arguments, 0);
  } else {
    static const char *const names[] = {"inputs", "outputs", "timeout", "profile", NULL};
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "|OO$dO", (char **)(uintptr_t)names, &inputs, &outputs,
                                     &timeout, &profile)) {
      return NULL;
    }
  }
  const int is_profiled = profile == Py_None ? -1 : PyObject_IsTrue(profile);
  const norma_run_profile chosen =
      is_profiled < 0 ? NORMA_PROFILE_SESSION : (is_profiled ? NORMA_PROFILE_ON : NORMA_PROFILE_OFF);
  PyObject *names = outputs == Py_None ? NULL : PySequence_List(outputs);
  if (PyErr_Occurred() || !sessions_enter(session)) {
    Py_XDECREF(names);
    return NULL;
  }
  PyObject *result = NULL;
  const bool is_ready =
      inputs == Py_None ? inputs_take_list(session, sessions_state(session)->empty) : inputs_take(session, inputs);
  if (is_ready && (!session->has_large_outputs || outputs_bind(session)) &&
      sessions_compute(session, timeout, chosen)) {
    result = outputs_take_all(session, names);
  }
  sessions_leave(session);
  Py_XDECREF(names);
  return result;
}

/* ---------------------------------------------------------------------------------------------------- other methods */

static PyObject *sessions_cancel(PyObject *self, PyObject *arguments) {
  (void)arguments;
  norma_session_cancel(((session_object *)self)->session);
  Py_RETURN_NONE;
}

static PyObject *sessions_change_watch(PyObject *self, PyObject *name,
                                       norma_status (*change)(norma_session *, const char *, norma_error *)) {
  session_object *session = (session_object *)self;
  PyObject *bytes = text_bytes(name);
  if (!bytes || !sessions_enter(session)) {
    Py_XDECREF(bytes);
    return NULL;
  }
  norma_error error;
  const norma_status status = change(session->session, PyBytes_AsString(bytes), &error);
  sessions_leave(session);
  Py_DECREF(bytes);
  if (status != NORMA_OK) return errors_raise(sessions_state(session), &error);
  Py_RETURN_NONE;
}

static PyObject *sessions_watch(PyObject *self, PyObject *name) {
  return sessions_change_watch(self, name, norma_session_watch);
}

static PyObject *sessions_unwatch(PyObject *self, PyObject *name) {
  return sessions_change_watch(self, name, norma_session_unwatch);
}

static PyObject *sessions_profile(PyObject *self, PyObject *arguments) {
  (void)arguments;
  session_object *session = (session_object *)self;
  if (!sessions_enter(session)) return NULL;
  const size_t count = norma_session_profile_count(session->session);
  PyObject *list = PyList_New((Py_ssize_t)count);
  for (size_t i = 0; list && i < count; i++) {
    norma_profile_entry entry;
    norma_session_profile(session->session, i, &entry);
    PyObject *row = Py_BuildValue(
        "{s:N,s:s,s:s,s:K,s:K,s:K,s:K,s:d,s:d}", "node", text_of(entry.node, (Py_ssize_t)strlen(entry.node)), "op_type",
        entry.op_type, "kernel", entry.kernel, "runs", (unsigned long long)entry.runs, "total_ns",
        (unsigned long long)entry.total_ns, "start_ns", (unsigned long long)entry.start_ns, "last_ns",
        (unsigned long long)entry.last_ns, "flops", entry.flops, "bytes", entry.bytes);
    if (!row || PyList_SetItem(list, (Py_ssize_t)i, row) != 0) Py_CLEAR(list);
  }
  sessions_leave(session);
  return list;
}

static PyObject *sessions_reset_profile(PyObject *self, PyObject *arguments) {
  (void)arguments;
  session_object *session = (session_object *)self;
  if (!sessions_enter(session)) return NULL;
  norma_session_profile_reset(session->session);
  sessions_leave(session);
  Py_RETURN_NONE;
}

static PyObject *sessions_trim(PyObject *self, PyObject *arguments) {
  (void)arguments;
  session_object *session = (session_object *)self;
  if (!sessions_enter(session)) return NULL;
  norma_session_trim(session->session);
  sessions_leave(session);
  Py_RETURN_NONE;
}

static PyObject *sessions_model(PyObject *self, void *closure) {
  (void)closure;
  PyObject *model = (PyObject *)((session_object *)self)->model;
  Py_INCREF(model);
  return model;
}

static PyObject *sessions_arena_bytes(PyObject *self, void *closure) {
  (void)closure;
  norma_session_memory_info info = {.struct_size = sizeof info};
  norma_session_memory(((session_object *)self)->session, &info);
  return PyLong_FromSize_t(info.arena_bytes);
}

/* ------------------------------------------------------------------------------------------------------------- life */

static void sessions_fill_slots(session_object *session) {
  norma_value_info info;
  for (Py_ssize_t i = 0; i < session->model->input_count; i++) {
    norma_model_input(session->model->model, (size_t)i, &info);
    session->inputs[i].key = session->model->input_names[i];
    session->inputs[i].name = info.name;
    session->inputs[i].type = models_input_type(session->model->model, info.name);
  }
  for (Py_ssize_t i = 0; i < session->model->output_count; i++) {
    norma_model_output(session->model->model, (size_t)i, &info);
    session->outputs[i].name = info.name;
  }
}

/* create_session(type, model, max_plans, profile, copy_inputs) */
PyObject *sessions_create(PyObject *module, PyObject *arguments) {
  module_state *state = PyModule_GetState(module);
  PyObject *type;
  model_object *model;
  int max_plans, profile, copies_inputs;
  if (!PyArg_ParseTuple(arguments, "OO!ipp", &type, state->model_type, &model, &max_plans, &profile, &copies_inputs) ||
      !runtimes_check_fork(model->runtime)) {
    return NULL;
  }
  session_object *session = objects_allocate(type, state->session_type);
  if (!session) return NULL;
  Py_INCREF(model);
  session->model = model;
  session->copies_inputs = copies_inputs;
  session->has_large_outputs = true; /* unless the first run shows that there are none */
  session->inputs = PyMem_Calloc((size_t)model->input_count + 1, sizeof *session->inputs);
  session->outputs = PyMem_Calloc((size_t)model->output_count + 1, sizeof *session->outputs);
  if (!session->inputs || !session->outputs) {
    Py_DECREF(session);
    return PyErr_NoMemory();
  }
  sessions_fill_slots(session);
  const norma_session_options options = {.struct_size = sizeof options, .max_plans = max_plans, .profile = profile};
  norma_error error;
  norma_status status;
  Py_BEGIN_ALLOW_THREADS;
  status = norma_session_create(model->model, &options, &session->session, &error);
  Py_END_ALLOW_THREADS;
  if (status != NORMA_OK) {
    Py_DECREF(session);
    return errors_raise(state, &error);
  }
  return (PyObject *)session;
}

static void sessions_deallocate(PyObject *self) {
  session_object *session = (session_object *)self;
  norma_session_destroy(session->session);
  for (Py_ssize_t i = 0; session->inputs && i < session->model->input_count; i++) PyMem_Free(session->inputs[i].copy);
  PyMem_Free(session->inputs);
  PyMem_Free(session->outputs);
  Py_XDECREF((PyObject *)session->model);
  objects_free(self);
}

static PyMethodDef sessions_methods[] = {
    {"run", (PyCFunction)(void (*)(void))sessions_run, METH_VARARGS | METH_KEYWORDS,
     "run(inputs=None, outputs=None, *, timeout=0, profile=None)\n--\n\n"
     "Runs the model. `inputs` is a dict by name, or a list in the order of the model. The result is a list: of all\n"
     "outputs, or of those that `outputs` names. Tensors are NumPy's arrays, which belong to the caller; sequences are\n"
     "lists, maps dicts, an empty optional None. `timeout` in seconds (0: none) ends the run with DeadlineError;\n"
     "`profile` measures this run or does not, whatever the session says. The GIL is released; large arrays are read\n"
     "in place and cannot be written meanwhile."},
    {"cancel", sessions_cancel, METH_NOARGS,
     "cancel()\n--\n\nEnds the run in progress, in whatever thread, with CancelledError; without one, the next run."},
    {"watch", sessions_watch, METH_O,
     "watch(name)\n--\n\nKeeps a value of the graph that is no output, so that `outputs` of run() may name it; \"*\": all."},
    {"unwatch", sessions_unwatch, METH_O, "unwatch(name)\n--\n\nTakes one watch back; \"*\": all."},
    {"profile", sessions_profile, METH_NOARGS,
     "profile()\n--\n\nThe steps of the plan as dicts, summed over the runs that were measured: pandas.DataFrame takes\n"
     "the list."},
    {"reset_profile", sessions_reset_profile, METH_NOARGS, "reset_profile()\n--\n\nForgets what was measured."},
    {"trim", sessions_trim, METH_NOARGS, "trim()\n--\n\nGives back memory that the next run can make again."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef sessions_getters[] = {
    {"model", sessions_model, NULL, "The model that it runs.", NULL},
    {"arena_bytes", sessions_arena_bytes, NULL, "Bytes of memory for results between nodes.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyTypeObject *sessions_make_type(void) {
  PyType_Slot slots[] = {
      {Py_tp_new, objects_refuse},      {Py_tp_dealloc, sessions_deallocate}, {Py_tp_methods, sessions_methods},
      {Py_tp_getset, sessions_getters}, {Py_tp_doc, "A session of norma.h."}, {0, NULL},
  };
  PyType_Spec spec = {"norma._norma.Session", sizeof(session_object), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                      slots};
  return (PyTypeObject *)PyType_FromSpec(&spec);
}
