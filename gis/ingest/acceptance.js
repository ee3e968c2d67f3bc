// The red-pen map turns with the wheel, moves with the pointer, and goes back on a double click.
const s=document.getElementById('redpen');if(s){const b=s.viewBox.baseVal,w0=b.width,h0=b.height;let d=null;
const k=()=>s.style.setProperty('--k',b.width/1100);
s.addEventListener('wheel',e=>{e.preventDefault();const r=s.getBoundingClientRect(),f=e.deltaY>0?1.25:0.8;if(b.width*f>w0*1.5||b.width*f<w0/4000)return;
const x=b.x+(e.clientX-r.left)/r.width*b.width,y=b.y+(e.clientY-r.top)/r.height*b.height;b.x=x-(x-b.x)*f;b.y=y-(y-b.y)*f;b.width*=f;b.height*=f;k()},{passive:false});
s.addEventListener('pointerdown',e=>{d=[e.clientX,e.clientY,b.x,b.y];s.setPointerCapture(e.pointerId)});
s.addEventListener('pointermove',e=>{if(!d)return;const r=s.getBoundingClientRect();b.x=d[2]-(e.clientX-d[0])/r.width*b.width;b.y=d[3]-(e.clientY-d[1])/r.height*b.height});
s.addEventListener('pointerup',()=>d=null);s.addEventListener('dblclick',()=>{b.x=0;b.y=0;b.width=w0;b.height=h0;k()})}
