/** Keeps the screen on while captions run: a phone that locks stops the microphone. */

/** @returns {() => void} lets the screen sleep again */
export function keepAwake() {
  let lock = null;
  const ask = async () => {
    if (document.hidden) return;
    try {
      lock = await navigator.wakeLock?.request('screen');
    } catch {
      // Low battery or no permission: captions go on as long as the device does.
    }
  };
  document.addEventListener('visibilitychange', ask);
  ask();
  return () => {
    document.removeEventListener('visibilitychange', ask);
    lock?.release();
  };
}
