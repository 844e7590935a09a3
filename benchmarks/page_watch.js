// Put into a page before anything of its own runs: keeps what the browser measures of it, in `pageWatch`.

(() => {
  const watch = { longTasks: [], shifts: [], largestPaintMs: 0, frames: [], keysMs: [] };
  window.pageWatch = watch;

  const observe = (type, note) =>
    new PerformanceObserver((list) => list.getEntries().forEach(note)).observe({ type, buffered: true });
  observe("longtask", ({ startTime, duration }) => watch.longTasks.push({ startTime, duration }));
  observe("largest-contentful-paint", ({ startTime }) => (watch.largestPaintMs = startTime));
  // What moves in answer to a key or a click is meant to.
  observe("layout-shift", ({ value, hadRecentInput, sources }) => {
    if (!hadRecentInput) watch.shifts.push({ value, moved: sources.map(({ node }) => node?.id || node?.className || node?.nodeName) });
  });

  /** From now on each frame's time is kept, and how long after each key the next frame was done. */
  watch.begin = () => {
    watch.longTasks.length = watch.shifts.length = 0;
    const frame = (at) => {
      watch.frames.push(at);
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
    addEventListener(
      "keydown",
      ({ timeStamp }) => {
        requestAnimationFrame(() => {
          const { port1, port2 } = new MessageChannel(); // its message comes once the frame is drawn
          port1.onmessage = () => watch.keysMs.push(performance.now() - timeStamp);
          port2.postMessage(null);
        });
      },
      { capture: true },
    );
  };
})();
