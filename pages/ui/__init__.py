"""What the pages share: cached reads, state in the address, widgets.

Home.py lists the pages and must run first. To a server's very first visitor, Streamlit offers every file of a folder
called ``pages`` as an app of its own, before it has met ``st.navigation``: a link right to a page then opens that page
without navigation and layout. Importing this package ends that, once per server, and starts over with Home.py.
"""

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

if PagesManager.uses_pages_directory:
    PagesManager.uses_pages_directory = False
    st.rerun()
